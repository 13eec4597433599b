"""Frames at a set rate through engines that keep up and engines that do not."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from ssr_edge.bench.measure.live import time_live
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.images.preprocess import Image
from ssr_edge.runners.base import Outputs, Runner
from ssr_edge.runners.choose import open_runner


class Sleeper(Runner):
    """Takes a set time for a call; keeps what it was given."""

    runtime, precision, version, device, max_batch, slots, origin = "none", "fp32", "1", "none", 1, 1, "a test"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.seen: list[Image] = []

    def submit(self, images: Image) -> int:
        self.seen.append(images)
        time.sleep(self.seconds)
        return len(self.seen)

    def collect(self, ticket: int) -> Outputs:
        return Outputs(np.zeros((1, 8), np.float32), np.full((1, 8), 1 / 8, np.float32))

    def close(self) -> None:
        pass


def test_an_engine_that_keeps_up_labels_every_frame(demo_images: list[Path]) -> None:
    runner = Sleeper(0.0)
    found = time_live(runner, [str(path) for path in demo_images], fps=20, seconds=0.5)
    assert found["frames"] == 10
    assert len(found["latency_ms"]) + found["dropped"] == 10
    assert found["dropped"] <= 2
    assert all(image.shape == (1, 224, 224, 3) for image in runner.seen)
    # Different frames, not one over and over.
    assert len({image.tobytes() for image in runner.seen}) > 1


def test_a_slow_engine_drops_frames_and_its_latency_does_not_grow(demo_images: list[Path]) -> None:
    found = time_live(Sleeper(0.1), [str(path) for path in demo_images], fps=50, seconds=1.0)
    assert found["frames"] == 50
    assert len(found["latency_ms"]) + found["dropped"] == 50
    assert 30 <= found["dropped"] <= 46
    # Each label is at least a call old; a queue would have made the last one half a second old.
    assert min(found["latency_ms"]) >= 100
    assert found["latency_ms"][-1] < 400


def test_unreadable_images_are_no_frames(demo_images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    runner = Sleeper(0.0)
    time_live(runner, [str(tmp_path / "a.png"), str(demo_images[0])], fps=50, seconds=0.1)
    assert {image.tobytes() for image in runner.seen} == {runner.seen[0].tobytes()}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_real_engines_play(tiny_bundle: Bundle, demo_images: list[Path], precision: str) -> None:
    with open_runner(tiny_bundle, "openvino", precision) as runner:
        found = time_live(runner, [str(path) for path in demo_images], fps=30, seconds=0.3)
    assert found["frames"] == 9
    assert len(found["latency_ms"]) >= 1
