"""The newest frame wins: on a real engine, and on a source whose speed the test decides."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Semaphore

import numpy as np
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import InputError
from ssr_edge.images.preprocess import Image, decode, resize
from ssr_edge.inference.live import LatestFrame, LiveReport, classify_live
from ssr_edge.inference.pipeline import Failure
from ssr_edge.inference.prediction import Prediction
from ssr_edge.runners.base import Outputs, Runner
from ssr_edge.runners.choose import open_runner
from ssr_edge.sources.inputs import Input, unreadable

TIMEOUT_S = 30


@pytest.fixture(scope="module")
def runner(tiny_bundle: Bundle) -> Iterator[Runner]:
    with open_runner(tiny_bundle, "openvino", "fp32") as opened:
        yield opened


class Slow(Runner):
    """A real engine that takes its time, as a network that is too large for its device does."""

    def __init__(self, real: Runner, seconds: float) -> None:
        self.real, self.seconds = real, seconds

    def submit(self, images: Image) -> int:
        time.sleep(self.seconds)
        return self.real.submit(images)

    def collect(self, ticket: int) -> Outputs:
        return self.real.collect(ticket)

    def close(self) -> None:
        self.real.close()


def frames(image: Image, count: int, seconds: float = 0.0) -> Iterator[Input]:
    for number in range(count):
        time.sleep(seconds)
        yield Input("camera", lambda: image, number, number * seconds, time.perf_counter())


@pytest.fixture(scope="module")
def image(demo_images: list[Path]) -> Image:
    return decode(demo_images[0])


def test_a_slow_engine_drops_frames_and_its_delay_does_not_grow(runner: Runner, image: Image) -> None:
    with LatestFrame(frames(image, 100, 0.01), Event()) as newest:
        results = list(classify_live(newest, Slow(runner, 0.05)))
    numbers = [result.frame for result in results if isinstance(result, Prediction)]
    assert len(numbers) == len(results) < 60
    assert numbers == sorted(set(numbers)) and numbers[-1] == 99
    assert newest.frames == 100 and newest.dropped == 100 - len(results)
    # Had the frames queued, the last would have waited for four seconds.
    assert all(isinstance(result, Prediction) and 50 <= result.latency_ms < 2000 for result in results)


def test_a_fast_engine_drops_nothing_and_its_figures_are_the_engines(runner: Runner, image: Image) -> None:
    wanted = Semaphore(1)

    def camera() -> Iterator[Input]:
        for item in frames(image, 5):
            assert wanted.acquire(timeout=TIMEOUT_S)
            yield item

    results = []
    with LatestFrame(camera(), Event()) as newest:
        for result in classify_live(newest, runner, keep_images=True):
            results.append(result)
            wanted.release()
    assert [result.frame for result in results if isinstance(result, Prediction)] == [0, 1, 2, 3, 4]
    assert newest.dropped == 0
    expected = runner.infer(resize(image)[None]).probabilities[0]
    for result in results:
        assert isinstance(result, Prediction) and result.image is image
        np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)


def test_a_frame_that_fails_costs_itself(runner: Runner, image: Image) -> None:
    seen = Event()

    def source() -> Iterator[Input]:
        yield unreadable("camera", "frame 0: torn")
        assert seen.wait(TIMEOUT_S)
        yield from frames(image, 1)

    with LatestFrame(source(), Event()) as newest:
        results = classify_live(newest, runner)
        assert next(results) == Failure("camera", "frame 0: torn")
        seen.set()
        assert isinstance(next(results), Prediction)


def test_what_the_source_raises_comes_after_its_frames(runner: Runner, image: Image) -> None:
    def source() -> Iterator[Input]:
        yield from frames(image, 1)
        raise InputError("the cable is out", expected="x", next_step="y")

    with LatestFrame(source(), Event()) as newest:
        results = classify_live(newest, runner)
        assert isinstance(next(results), Prediction)
        with pytest.raises(InputError, match="the cable is out"):
            next(results)


def test_an_engine_that_breaks_stops_the_source(image: Image) -> None:
    class Broken(Slow):
        def submit(self, images: Image) -> int:
            raise RuntimeError("device lost")

    ended = Event()

    def endless(stop: Event) -> Iterator[Input]:
        try:
            while not stop.is_set():
                yield from frames(image, 1, 0.01)
        finally:
            ended.set()

    stop = Event()
    with pytest.raises(RuntimeError, match="device lost"), LatestFrame(endless(stop), stop) as newest:
        list(classify_live(newest, Broken(None, 0)))  # type: ignore[arg-type]
    assert ended.wait(TIMEOUT_S)
    assert not any(thread.name == "source" for thread in threading.enumerate())


def test_the_report_counts_frames_drops_and_latency(
    runner: Runner, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr("ssr_edge.inference.live.REPORT_EVERY_S", 0.4)
    with LatestFrame(frames(image, 100, 0.01), Event()) as newest:
        report = LiveReport(newest, lines.append)
        results = [result for result in classify_live(newest, Slow(runner, 0.05)) if isinstance(result, Prediction)]
        for result in results:
            report.add(result)
        report.finish()
    assert lines[-1].startswith("live, whole run: 100 frames in ")
    assert f" {100 - len(results)} dropped, " in lines[-1] and "latency p50 " in lines[-1]
    assert report.fps() > 0


def test_a_report_now_and_then(runner: Runner, image: Image) -> None:
    lines: list[str] = []
    with LatestFrame(frames(image, 40, 0.02), Event()) as newest, pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssr_edge.inference.live.REPORT_EVERY_S", 0.2)
        report = LiveReport(newest, lines.append)
        for result in classify_live(newest, runner):
            assert isinstance(result, Prediction)
            report.add(result)
    assert len(lines) >= 2
    assert sum(int(line.split()[1]) for line in lines) <= 40
