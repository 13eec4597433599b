"""Decides how many rounds and calls fit into the time allowed, from the times seen while warming up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Scenario = Literal["single-stream", "offline", "end-to-end"]


@dataclass(frozen=True)
class Task:
    """One row of the table: an engine in a scenario. batch: images in one engine call."""

    engine: str
    scenario: Scenario
    batch: int


@dataclass(frozen=True)
class Effort:
    """How long a benchmark may take. warm_s: limit of one warm-up. rounds_s: of all rounds. turn_s: aim of one turn.

    judged: most images that accuracy is measured on; None for all of the folder.
    """

    warm_s: float
    rounds_s: float
    turn_s: float
    judged: int | None


QUICK = Effort(warm_s=1.0, rounds_s=20.0, turn_s=0.15, judged=64)
FULL = Effort(warm_s=3.0, rounds_s=75.0, turn_s=0.4, judged=None)

# The interval of the speed-up needs some rounds; more than this many narrow it no further.
MIN_ROUNDS, MAX_ROUNDS = 6, 30
_MAX_CALLS = 200
_MIN_IMAGES = 16
# A turn's cost beside its calls: one message each way and the wait until the threads sleep.
_TURN_OVERHEAD_S = 0.03


@dataclass(frozen=True)
class Schedule:
    """rounds: how often every task gets its turn. calls: engine calls in a turn, or for end-to-end images in it."""

    rounds: int
    calls: dict[Task, int]


def plan_schedule(task_ms: Mapping[Task, float], effort: Effort) -> Schedule:
    """Fits rounds into the effort. task_ms: ms of one call, or for end-to-end of one image."""
    calls = {}
    for task, ms in task_ms.items():
        fitting = round(effort.turn_s * 1000 / ms)
        # An end-to-end turn starts and drains the pipeline, so it needs more images, in whole batches.
        least = max(_MIN_IMAGES, 2 * task.batch) if task.scenario == "end-to-end" else 1
        calls[task] = min(max(fitting, least), _MAX_CALLS)
    round_s = sum((calls[task] + 1) * ms / 1000 + _TURN_OVERHEAD_S for task, ms in task_ms.items())
    return Schedule(min(max(int(effort.rounds_s / round_s), MIN_ROUNDS), MAX_ROUNDS), calls)
