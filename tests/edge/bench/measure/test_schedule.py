from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.bench.measure.schedule import (
    FULL,
    MAX_ROUNDS,
    MIN_ROUNDS,
    MLPERF,
    QUICK,
    Budget,
    Schedule,
    Task,
    best_batch,
    plan_schedule,
)


def _tasks(engine: str, single: float, eight: float, end_to_end: float) -> dict[Task, float]:
    return {
        Task(engine, "single-stream", 1): single,
        Task(engine, "offline", 1): single,
        Task(engine, "offline", 8): eight,
        Task(engine, "end-to-end", 8): end_to_end,
    }


def _seconds(schedule: Schedule, task_ms: dict[Task, float]) -> float:
    return schedule.rounds * sum(calls * task_ms[task] / 1000 for task, calls in schedule.calls.items())


def test_quick_fits_the_demo_network() -> None:
    task_ms = _tasks("torch-fp32", 25, 200, 25) | _tasks("openvino-fp32", 7, 56, 8) | _tasks("openvino-int8", 3, 24, 5)
    schedule = plan_schedule(task_ms, QUICK)
    assert schedule.rounds >= MIN_ROUNDS
    assert _seconds(schedule, task_ms) <= QUICK.rounds_s


def test_full_fits_the_papers_network() -> None:
    task_ms = (
        _tasks("torch-fp32", 80, 640, 80) | _tasks("openvino-fp32", 44, 400, 50) | _tasks("openvino-int8", 15, 118, 17)
    )
    schedule = plan_schedule(task_ms, FULL)
    assert schedule.rounds >= 8
    assert _seconds(schedule, task_ms) <= FULL.rounds_s


def test_calls_fill_a_turn() -> None:
    budget = Budget(warm_s=1, rounds_s=10, turn_s=0.2, max_images=None)
    tasks = {Task("a", "single-stream", 1): 10.0, Task("a", "offline", 8): 500.0, Task("b", "single-stream", 1): 0.01}
    schedule = plan_schedule(tasks, budget)
    assert list(schedule.calls.values()) == [20, 1, 200]


def test_end_to_end_has_images_enough_to_fill_the_pipeline() -> None:
    budget = Budget(warm_s=1, rounds_s=10, turn_s=0.2, max_images=None)
    slow, wide = Task("a", "end-to-end", 8), Task("b", "end-to-end", 32)
    assert plan_schedule({slow: 80.0, wide: 80.0}, budget).calls == {slow: 16, wide: 64}


def test_rounds_stay_within_their_bounds() -> None:
    task = Task("a", "single-stream", 1)
    assert plan_schedule({task: 100_000.0}, QUICK).rounds == MIN_ROUNDS
    assert plan_schedule({task: 0.1}, FULL).rounds == MAX_ROUNDS


def test_mlperf_times_every_row_for_its_ten_minutes() -> None:
    tasks = _tasks("torch-fp32", 80, 640, 80) | _tasks("openvino-int8", 0.1, 0.7, 1.1)
    schedule = plan_schedule(tasks, MLPERF)
    for task, ms in tasks.items():
        assert schedule.rounds * schedule.calls[task] * ms >= 600_000


def test_a_time_is_of_as_many_images_as_its_scenario_says() -> None:
    found = {s: Task("a", s, 4).images_a_call for s in ("single-stream", "multi-stream", "offline", "end-to-end")}
    assert found == {"single-stream": 1, "multi-stream": 8, "offline": 4, "end-to-end": 1}


def test_the_smallest_of_equally_good_batches_is_the_best() -> None:
    assert best_batch({1: 10.0, 2: 15.0, 4: 29.5, 8: 60.0}) == 2
    assert best_batch({1: 10.0, 2: 25.0}) == 1


@given(st.dictionaries(st.integers(1, 64), st.floats(0.01, 1e4), min_size=1))
def test_no_batch_is_better_by_more_than_the_tolerance(batch_ms: dict[int, float]) -> None:
    best = best_batch(batch_ms)
    assert best / batch_ms[best] >= 0.95 * max(batch / ms for batch, ms in batch_ms.items()) * (1 - 1e-9)
