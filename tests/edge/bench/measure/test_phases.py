"""Phases and GPU state of a test engine whose calls take different, known times."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from ssr_edge.bench.measure import phases as module
from ssr_edge.bench.measure.phases import PhasesAt, state_under_load, time_phases
from ssr_edge.images.preprocess import Image
from ssr_edge.machine.energy.nvml import GpuState
from ssr_edge.runners.base import Outputs, Phases, Runner

POOL = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 224, 224, 3), np.uint8)
BUSY = GpuState(1980, 64, 71.25)


class OnProcessor(Runner):
    """Notes what it is given: the first image's number and how many."""

    max_batch = 4

    def __init__(self) -> None:
        self.given: list[tuple[int, int]] = []
        self.under_way = 0

    def submit(self, images: Image) -> int:
        self.under_way += 1
        self.given.append((int(images[0, 0, 0, 0]), len(images)))
        return 0

    def collect(self, ticket: int) -> Outputs:
        self.under_way -= 1
        return Outputs(np.zeros((1, 8), np.float32), np.zeros((1, 8), np.float32))

    def close(self) -> None: ...


class OnGpu(OnProcessor):
    """Call number n of any batch copies for n ms, computes for 10 n, copies back for n / 10 and is queued in 2 n."""

    def phases(self, images: Image) -> Phases:
        self.collect(self.submit(images))
        n = float(len(self.given))
        return Phases(n, 10 * n, n / 10, 2 * n)


def test_medians_of_the_calls_after_the_first_three() -> None:
    runner = OnGpu()
    (one,) = time_phases(runner, POOL, [1], 5)
    # Calls 4 to 8.
    assert one == PhasesAt(1, Phases(6.0, 60.0, pytest.approx(0.6), 12.0))  # type: ignore[arg-type]
    assert runner.given == [(number % 6, 1) for number in range(8)]


def test_each_batch_takes_its_images_in_turn_and_within_the_pool() -> None:
    runner = OnGpu()
    assert [row.batch for row in time_phases(runner, POOL, [1, 4], 2)] == [1, 4]
    assert runner.given[5:] == [(0, 4), (1, 4), (2, 4), (0, 4), (1, 4)]


def test_a_runner_on_the_processor_has_none_and_is_not_called() -> None:
    runner = OnProcessor()
    assert time_phases(runner, POOL, [1, 4], 5) == []
    assert state_under_load(runner, POOL, 1.0) is None
    assert runner.given == []


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[OnGpu]:
    """A runner, and an NVML that sees the GPU as busy only while a call is under way."""
    runner = OnGpu()
    monkeypatch.setattr(module, "gpu_state", lambda: BUSY if runner.under_way else GpuState(210, 40, 20.0, ["idle"]))
    yield runner
    assert runner.under_way == 0


def test_the_state_is_that_of_a_busy_gpu(busy: OnGpu) -> None:
    assert state_under_load(busy, POOL, 0.01) == BUSY
    assert {count for _, count in busy.given} == {4}
    assert len(busy.given) > 2


def test_a_pool_smaller_than_the_largest_batch(busy: OnGpu) -> None:
    assert state_under_load(busy, POOL[:2], 0.0) == BUSY
    assert busy.given == [(0, 2)]
