"""Decides how many rounds and calls fit into the time allowed, from the times seen while warming up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# Those of MLPerf Inference (github.com/mlcommons/inference_policies), and the two that a microscope's user waits for.
Scenario = Literal["single-stream", "multi-stream", "offline", "end-to-end", "live"]
SCENARIOS: tuple[Scenario, ...] = ("single-stream", "multi-stream", "offline", "end-to-end", "live")
# Samples of one multi-stream query.
QUERY = 8


@dataclass(frozen=True)
class Task:
    """One row of the table: an engine in a scenario. batch: images in one engine call."""

    engine: str
    scenario: Scenario
    batch: int

    @property
    def images_a_call(self) -> int:
        """Images that one of its times is of: a query's, a batch's, or one."""
        return {"multi-stream": QUERY, "offline": self.batch}.get(self.scenario, 1)


@dataclass(frozen=True)
class Budget:
    """How long a benchmark may take.

    warm_s: limit of one warm-up. rounds_s: of all rounds. turn_s: aim of one turn. row_s: least time that each row is
    timed, whatever the rounds take then. judged: most images that accuracy is measured on; None for all of the folder.
    batches: those that offline is tried with. live_s: of one live turn.
    """

    warm_s: float
    rounds_s: float
    turn_s: float
    judged: int | None
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    live_s: float = 3.0
    row_s: float | None = None


QUICK = Budget(warm_s=1.0, rounds_s=15.0, turn_s=0.15, judged=64, batches=(1, 4, 8), live_s=1.5)
FULL = Budget(warm_s=2.0, rounds_s=85.0, turn_s=0.35, judged=None)
# Inference rules, section "Scenarios": each takes at least 600 s, offline 24,576 samples as well.
MLPERF = Budget(warm_s=10.0, rounds_s=0.0, turn_s=10.0, judged=None, live_s=10.0, row_s=600.0)
MLPERF_OFFLINE_SAMPLES = 24_576

# The interval of the speed-up needs some rounds; more than this many narrow it no further.
MIN_ROUNDS, MAX_ROUNDS = 6, 30
_MAX_CALLS = 200
_MIN_IMAGES = 16
# A turn's cost beside its calls: one message each way and the wait until the threads sleep.
_TURN_OVERHEAD_S = 0.03


@dataclass(frozen=True)
class Schedule:
    """rounds: how often every task gets its turn. calls: timed calls in a turn, or for end-to-end images in it."""

    rounds: int
    calls: dict[Task, int]


def plan_schedule(task_ms: Mapping[Task, float], budget: Budget) -> Schedule:
    """Fits rounds into the budget. task_ms: ms of one call, or for end-to-end of one image."""
    most = _MAX_CALLS if budget.row_s is None else math.inf
    calls = {}
    for task, ms in task_ms.items():
        fitting = round(budget.turn_s * 1000 / ms)
        # An end-to-end turn starts and drains the pipeline, so it needs more images, in whole batches.
        least = max(_MIN_IMAGES, 2 * task.batch) if task.scenario == "end-to-end" else 1
        calls[task] = int(min(max(fitting, least), most))
    if budget.row_s is not None:
        shortest_s = min(calls[task] * ms / 1000 for task, ms in task_ms.items())
        return Schedule(math.ceil(budget.row_s / shortest_s), calls)
    round_s = sum((calls[task] + 1) * ms / 1000 + _TURN_OVERHEAD_S for task, ms in task_ms.items())
    return Schedule(min(max(int(budget.rounds_s / round_s), MIN_ROUNDS), MAX_ROUNDS), calls)


def best_batch(batch_ms: Mapping[int, float]) -> int:
    """The smallest batch that comes within 5 % of the most images a second. batch_ms: ms of a call, of a few calls."""
    most = max(batch / ms for batch, ms in batch_ms.items())
    return min(batch for batch, ms in batch_ms.items() if batch / ms >= 0.95 * most)
