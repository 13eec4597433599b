"""The pipeline on a real engine: order, failures, early ends and memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import ServerError
from ssr_edge.images.preprocess import Image, load
from ssr_edge.inference.pipeline import Failure, classify
from ssr_edge.inference.prediction import Prediction
from ssr_edge.inference.read_ahead import Decoded, NotYet, ReadAhead
from ssr_edge.runners.base import Outputs, Runner
from ssr_edge.runners.choose import open_runner
from ssr_edge.sources.inputs import Input, still


@pytest.fixture(scope="module", params=["openvino, 1 slot", "openvino, 3 slots", "onnxruntime, 1 slot"])
def runner(request: pytest.FixtureRequest, tiny_bundle: Bundle) -> Iterator[Runner]:
    runtime, slots = str(request.param).split(", ")
    with open_runner(tiny_bundle, runtime, "fp32", int(slots[0])) as opened:
        yield opened


@pytest.fixture(scope="module")
def expected(tiny_bundle: Bundle, demo_images: list[Path]) -> dict[Path, np.ndarray]:
    """Each demo image's probabilities, computed one image at a time by ONNX Runtime."""
    with open_runner(tiny_bundle, "onnxruntime", "fp32") as opened:
        return {path: opened.infer(load(path)[None]).probabilities[0] for path in demo_images}


@pytest.fixture
def mixed(tmp_path: Path, demo_images: list[Path]) -> list[Path]:
    """Ten images with broken ones before, between and behind them."""
    empty, text = tmp_path / "empty.png", tmp_path / "text.png"
    empty.touch()
    text.write_text("no image")
    missing = tmp_path / "missing.png"
    return [empty, *demo_images[:3], text, missing, *demo_images[3:9], empty, demo_images[9], missing]


def check(results: list[Prediction | Failure], paths: list[Path], expected: dict[Path, np.ndarray]) -> None:
    """Every path has its own result, in order."""
    assert [result.source for result in results] == [str(path) for path in paths]
    for path, result in zip(paths, results, strict=True):
        if path in expected:
            assert isinstance(result, Prediction)
            np.testing.assert_allclose(result.probabilities, expected[path], atol=1e-5)
        else:
            assert isinstance(result, Failure)


@pytest.mark.parametrize("batch_size", [1, 3, 8, 1000])
def test_the_order_is_kept_whatever_fails(
    runner: Runner, mixed: list[Path], expected: dict[Path, np.ndarray], batch_size: int
) -> None:
    results = list(classify(map(still, mixed), runner, batch_size, threads=3))
    check(results, mixed, expected)
    reasons = {Path(result.source).name: result.reason for result in results if isinstance(result, Failure)}
    assert reasons == {
        "empty.png": "the file is empty",
        "text.png": "the content is damaged or not an image",
        "missing.png": "no such file or directory",
    }


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_paths_and_none(
    runner: Runner, demo_images: list[Path], expected: dict[Path, np.ndarray], count: int
) -> None:
    check(list(classify(map(still, demo_images[:count]), runner, 8, threads=2)), demo_images[:count], expected)


def test_failures_alone_never_reach_the_engine(runner: Runner, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(20)]
    assert all(isinstance(result, Failure) for result in classify(map(still, paths), runner, 3, threads=2))


def test_each_image_counts_its_own_latency_and_flags(runner: Runner, demo_images: list[Path]) -> None:
    results = list(classify(map(still, demo_images[:5]), runner, 2, threads=2, magnification=400))
    assert all(isinstance(result, Prediction) and "other-magnification" in result.flags for result in results)
    assert all(isinstance(result, Prediction) and 0 < result.latency_ms < 60_000 for result in results)


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_a_consumer_that_stops_early_leaves_the_engine_free(
    runner: Runner, demo_images: list[Path], expected: dict[Path, np.ndarray], taken: int
) -> None:
    results = classify(map(still, cycle(demo_images)), runner, 2, threads=2)
    for _ in range(taken):
        next(results)
    results.close()  # type: ignore[attr-defined]
    # All slots must be free again.
    images = load(demo_images[0])[None]
    tickets = [runner.submit(images) for _ in range(runner.slots)]
    for ticket in tickets:
        np.testing.assert_allclose(runner.collect(ticket).probabilities[0], expected[demo_images[0]], atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_an_endless_source_is_not_read_far_ahead(runner: Runner, demo_images: list[Path], batch_size: int) -> None:
    read = 0

    def endless() -> Iterator[Input]:
        nonlocal read
        for path in cycle(demo_images):
            read += 1
            yield still(path)

    threads, taken = 2, 30
    results = classify(endless(), runner, batch_size, threads)
    for _ in range(taken):
        next(results)
    results.close()  # type: ignore[attr-defined]
    in_the_engine, decoded_ahead = batch_size * runner.slots, threads + batch_size * (runner.slots + 1)
    assert read <= taken + batch_size + in_the_engine + decoded_ahead


def test_a_batch_larger_than_the_engines_reads_no_further_ahead(tiny_bundle: Bundle, demo_images: list[Path]) -> None:
    source = iter(demo_images)
    with open_runner(tiny_bundle, "openvino", "fp32") as runner:
        runner.max_batch = 2
        results = classify(map(still, source), runner, 1000, threads=1)
        next(results)
        results.close()  # type: ignore[attr-defined]
    # One batch was yielded from, one is in the engine, one being gathered, and five images were decoded ahead.
    assert len(list(source)) >= len(demo_images) - (2 + 2 + 2 + 5)


class Breaking(Runner):
    """A real runner whose third call fails, as an engine does when its device goes away."""

    def __init__(self, real: Runner) -> None:
        self.real, self.calls = real, 0
        self.slots, self.max_batch = real.slots, real.max_batch

    def submit(self, images: Image) -> int:
        self.calls += 1
        if self.calls == 3:
            raise RuntimeError("device lost")
        return self.real.submit(images)

    def collect(self, ticket: int) -> Outputs:
        return self.real.collect(ticket)

    def close(self) -> None:
        self.real.close()


def test_an_engine_that_breaks_ends_the_run_and_leaves_no_ticket_open(
    runner: Runner, demo_images: list[Path], expected: dict[Path, np.ndarray]
) -> None:
    with pytest.raises(RuntimeError, match="device lost"):
        list(classify(map(still, demo_images), Breaking(runner), 2, threads=2))
    check(list(classify(map(still, demo_images), runner, 2, threads=2)), demo_images, expected)


def within(seconds: float, work: Callable[[], object]) -> BaseException | None:
    """Runs something in a thread, so that a hang fails its own test; returns what it raised."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
            raised.append(None)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert raised, "it hangs"
    return raised[0]


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("good", [0, 5])
def test_what_the_source_raises_ends_the_run(
    runner: Runner, demo_images: list[Path], batch_size: int, good: int
) -> None:
    def source() -> Iterator[Input]:
        yield from map(still, demo_images[:good])
        raise PermissionError("the share went away")

    results: list[Prediction | Failure] = []
    error = within(60, lambda: results.extend(classify(source(), runner, batch_size, threads=2)))
    assert isinstance(error, PermissionError)


@pytest.mark.parametrize("at", [0, 3, 9])
def test_an_error_that_no_decoder_should_raise_ends_the_run(runner: Runner, demo_images: list[Path], at: int) -> None:
    def bug() -> Image:
        raise ZeroDivisionError("a bug in a decoder")

    inputs = [still(path) for path in demo_images[:10]]
    inputs[at] = Input("x", bug)
    error = within(60, lambda: list(classify(inputs, runner, 2, threads=2)))
    assert isinstance(error, ZeroDivisionError)
    assert not any(thread.name.startswith(("source", "decode")) for thread in threading.enumerate())


def test_an_engine_that_breaks_ends_an_endless_source(runner: Runner, demo_images: list[Path]) -> None:
    inputs = map(still, cycle(demo_images))
    error = within(60, lambda: list(classify(inputs, Breaking(runner), 2, threads=2)))
    assert isinstance(error, RuntimeError) and str(error) == "device lost"


class Unanswered(Runner):
    """Every call fails with a message of its own, like requests to a server that is gone."""

    slots, max_batch = 3, 1

    def __init__(self) -> None:
        self.submitted, self.collected = 0, list[int]()

    def submit(self, images: Image) -> int:
        self.submitted += 1
        return self.submitted

    def collect(self, ticket: int) -> Outputs:
        self.collected.append(ticket)
        raise ServerError(f"call {ticket} failed", expected="an answer", next_step="the same command")

    def close(self) -> None:
        pass


def test_the_first_call_that_fails_says_why_and_all_are_collected(demo_images: list[Path]) -> None:
    runner = Unanswered()
    with pytest.raises(ServerError, match="call 1 failed"):
        list(classify(map(still, demo_images), runner, 1, threads=2))
    assert runner.collected == list(range(1, runner.submitted + 1))
    assert runner.submitted >= 1


def test_a_slow_source_holds_no_result_back(runner: Runner, demo_images: list[Path]) -> None:
    """Neither a batch that is not full nor an engine whose call is done waits for the next input."""
    go_on = Event()

    def source() -> Iterator[Input]:
        for path in demo_images[:4]:
            assert go_on.wait(60)
            go_on.clear()
            yield still(path)

    def ask_for_one_after_the_other() -> None:
        results = classify(source(), runner, 8, threads=2)
        for path in demo_images[:4]:
            go_on.set()
            assert next(results).source == str(path)
        assert list(results) == []

    assert within(60, ask_for_one_after_the_other) is None


def test_few_whole_frames_wait_for_a_decoder(demo_images: list[Path]) -> None:
    image, go_on, read = load(demo_images[0]), Event(), 0

    def slow() -> Image:
        assert go_on.wait(60)
        return image

    def video() -> Iterator[Input]:
        nonlocal read
        for number in range(50):
            read += 1
            yield Input("clip", slow, number)

    threading.Timer(1.0, go_on.set).start()
    with ReadAhead(video(), threads=2, ahead=40, stop=Event(), keep_images=False) as reader:
        assert isinstance(reader.take(0.5), NotYet)
        assert read <= 2 * 2 + 1
        assert sum(isinstance(reader.take(60), Decoded) for _ in range(50)) == 50
        assert reader.take(60) is None


def test_stopping_ends_the_source_and_finishes_what_was_read(runner: Runner, demo_images: list[Path]) -> None:
    stop, read = Event(), 0

    def endless() -> Iterator[Input]:
        nonlocal read
        for path in cycle(demo_images):
            read += 1
            yield still(path)

    results = classify(endless(), runner, 4, threads=2, stop=stop)
    found = [next(results) for _ in range(10)]
    stop.set()
    found += results
    assert read - 1 <= len(found) <= read
    assert [result.source for result in found] == [str(path) for path, _ in zip(cycle(demo_images), found)]


def test_a_source_that_waits_is_told_when_the_run_ends(runner: Runner, demo_images: list[Path]) -> None:
    stop = Event()

    def camera() -> Iterator[Input]:
        yield still(demo_images[0])
        assert stop.wait(60)

    results = classify(camera(), runner, 8, threads=2, stop=stop)
    next(results)
    started = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 30
    assert not any(thread.name == "source" for thread in threading.enumerate())


def test_frames_bring_their_number_time_and_image(runner: Runner, demo_images: list[Path]) -> None:
    image = load(demo_images[0])
    inputs = [Input("clip", lambda: image, number, number / 8, time.perf_counter() - 1) for number in range(5)]
    results = list(classify(inputs, runner, 2, threads=2, keep_images=True))
    for number, result in enumerate(results):
        assert isinstance(result, Prediction)
        assert (result.frame, result.seconds) == (number, number / 8)
        assert result.image is image
        assert result.latency_ms > 1000  # from the capture on
    (result,) = classify(inputs[:1], runner, 2, threads=2)
    assert isinstance(result, Prediction) and result.image is None


def is_poisoned(image: Image) -> bool:
    return bool(image[0, 0, 0] % 2)


class Corrupted(Runner):
    """An engine that returns NaN for every image that `is_poisoned`."""

    def __init__(self, runner: Runner) -> None:
        self._runner, self._poisoned = runner, dict[int, list[bool]]()
        self.runtime, self.precision, self.version, self.device = "fake", "fp32", "1", "none"
        self.max_batch, self.slots, self.origin = runner.max_batch, runner.slots, "memory"

    def submit(self, images: Image) -> int:
        ticket = self._runner.submit(images)
        self._poisoned[ticket] = [is_poisoned(image) for image in images]
        return ticket

    def collect(self, ticket: int) -> Outputs:
        outputs = self._runner.collect(ticket)
        probabilities = outputs.probabilities.copy()
        probabilities[self._poisoned.pop(ticket)] = np.nan
        return Outputs(outputs.logits, probabilities)

    def close(self) -> None:
        pass


def test_nan_is_a_failure_and_never_a_label(
    runner: Runner, demo_images: list[Path], expected: dict[Path, np.ndarray]
) -> None:
    sound = {path: values for path, values in expected.items() if not is_poisoned(load(path))}
    assert 0 < len(sound) < len(demo_images)
    results = list(classify(map(still, demo_images), Corrupted(runner), 6, threads=2))
    check(results, demo_images, sound)
    assert all("nan" in result.reason for result in results if isinstance(result, Failure))
