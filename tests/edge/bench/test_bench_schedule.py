from __future__ import annotations

from ssr_edge.bench.schedule import FULL, MAX_ROUNDS, MIN_ROUNDS, QUICK, Effort, Schedule, Task, plan_schedule


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
    effort = Effort(warm_s=1, rounds_s=10, turn_s=0.2, judged=None)
    tasks = {Task("a", "single-stream", 1): 10.0, Task("a", "offline", 8): 500.0, Task("b", "single-stream", 1): 0.01}
    schedule = plan_schedule(tasks, effort)
    assert list(schedule.calls.values()) == [20, 1, 200]


def test_end_to_end_has_images_enough_to_fill_the_pipeline() -> None:
    effort = Effort(warm_s=1, rounds_s=10, turn_s=0.2, judged=None)
    slow, wide = Task("a", "end-to-end", 8), Task("b", "end-to-end", 32)
    assert plan_schedule({slow: 80.0, wide: 80.0}, effort).calls == {slow: 16, wide: 64}


def test_rounds_stay_within_their_bounds() -> None:
    task = Task("a", "single-stream", 1)
    assert plan_schedule({task: 100_000.0}, QUICK).rounds == MIN_ROUNDS
    assert plan_schedule({task: 0.1}, FULL).rounds == MAX_ROUNDS
