"""What is tried while warming up, and what is counted in the rounds."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ssr_edge.bench.measure.process import WorkerProcess, Workers
from ssr_edge.bench.measure.rounds import Energy, warm_engine
from ssr_edge.bench.measure.schedule import FULL, Task


class Engine:
    """A worker whose call takes a set time at each batch."""

    def __init__(self, ms: dict[int, float]) -> None:
        self.ms = ms
        self.tried: list[int] = []

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] == "memory":
            # Larger batches need more memory, which is none of the scenarios'.
            return {"peak_rss_mb": 100.0 + max(self.tried)}
        self.tried.append(request["batch"])
        ms = self.ms[request["batch"]]
        return {"first_ms": 2 * ms, "settled_ms": ms, "calls": 12, "seconds": 0.5}


def warm(ms: dict[int, float], max_batch: int = 64, batches: tuple[int, ...] = ()) -> tuple[Engine, Any]:
    engine, workers = Engine(ms), Workers()
    workers.running["e"] = cast(WorkerProcess, engine)
    return engine, warm_engine(workers, "e", max_batch, batches, FULL)


def test_larger_batches_are_tried_as_long_as_they_bring_something() -> None:
    engine, found = warm({1: 10.0, 2: 20.0, 4: 39.9, 8: 80.0, 16: 160.0, 32: 320.0})
    # 2 and 4 bring nothing; 8 is a query's.
    assert engine.tried == [1, 8, 2, 4]
    assert Task("e", "offline", 1) in found.tasks
    engine, found = warm({1: 10.0, 2: 12.0, 4: 16.0, 8: 24.0, 16: 40.0, 32: 72.0})
    assert engine.tried == [1, 8, 2, 4, 16, 32]
    assert found.tasks[Task("e", "offline", 32)].settled_ms == 72.0
    assert found.peak_rss_mb == 108.0
    assert found.batch_ms == {1: 10.0, 2: 12.0, 4: 16.0, 8: 24.0, 16: 40.0, 32: 72.0}


def test_batches_that_were_asked_for_are_the_only_ones() -> None:
    engine, found = warm(dict.fromkeys(range(65), 10.0), batches=(1, 12, 100))
    assert engine.tried == [1, 8, 12]
    assert [task.batch for task in found.tasks if task.scenario == "offline"] == [1, 12]


def test_an_engine_of_small_batches_needs_several_calls_for_a_query() -> None:
    _, found = warm({1: 10.0, 2: 18.0, 3: 25.0}, max_batch=3)
    query = found.tasks[Task("e", "multi-stream", 3)]
    assert query.settled_ms == pytest.approx(25.0 * 8 / 3)


def test_joules_are_of_an_image() -> None:
    energy, task = Energy(), Task("e", "offline", 8)
    energy.add(task, 16, {"package": 4.0, "GPU": 1.0})
    energy.add(task, 8, {"package": 2.0, "GPU": 2.0})
    assert energy.an_image(task) == {"package": 0.25, "GPU": 0.125}
    assert energy.an_image(Task("e", "offline", 1)) == {}
