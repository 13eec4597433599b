"""Plans how many rounds and calls fit into the time budget, from the latencies seen during warm-up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# The scenarios of MLPerf Inference (github.com/mlcommons/inference_policies), and the two a microscope user sees.
Scenario = Literal["single-stream", "multi-stream", "offline", "end-to-end", "live"]
SCENARIOS: tuple[Scenario, ...] = ("single-stream", "multi-stream", "offline", "end-to-end", "live")
# Samples per multi-stream query.
QUERY = 8


@dataclass(frozen=True)
class Task:
    """One row of the table: an engine in a scenario. batch: images per engine call."""

    engine: str
    scenario: Scenario
    batch: int

    @property
    def images_a_call(self) -> int:
        """Images per timed call: a query, a batch, or one."""
        return {"multi-stream": QUERY, "offline": self.batch}.get(self.scenario, 1)

    @property
    def label(self) -> str:
        """The scenario as shown in reports: `offline, batch 8`."""
        return f"{self.scenario}, batch {self.batch}" if self.scenario == "offline" else self.scenario


@dataclass(frozen=True)
class Budget:
    """Time budget of a benchmark, in seconds.

    warm_s: limit of one warm-up. rounds_s: limit of all rounds. turn_s: target of one turn. row_s: minimum time for
    each row, overriding rounds_s. max_images: most images that accuracy is measured on; None for the whole folder.
    batches: batch sizes tried for the offline scenario. live_s: duration of one live turn.
    """

    warm_s: float
    rounds_s: float
    turn_s: float
    max_images: int | None
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    live_s: float = 3.0
    row_s: float | None = None


QUICK = Budget(warm_s=1.0, rounds_s=15.0, turn_s=0.15, max_images=64, batches=(1, 4, 8), live_s=1.5)
FULL = Budget(warm_s=2.0, rounds_s=85.0, turn_s=0.35, max_images=None)
# MLPerf Inference rules, section "Scenarios": at least 600 s each; offline also at least 24,576 samples.
MLPERF = Budget(warm_s=10.0, rounds_s=0.0, turn_s=10.0, max_images=None, live_s=10.0, row_s=600.0)
MLPERF_OFFLINE_SAMPLES = 24_576

# The interval of the speedup needs a minimum of rounds; more than the maximum barely narrow it.
MIN_ROUNDS, MAX_ROUNDS = 6, 30
_MAX_CALLS = 200
_MIN_IMAGES = 16
# Overhead of a turn: one message each way, and waiting until the threads are idle.
_TURN_OVERHEAD_S = 0.03


@dataclass(frozen=True)
class Schedule:
    """rounds: turns per task. calls: timed calls per turn; for end-to-end, images per turn."""

    rounds: int
    calls: dict[Task, int]


def plan_schedule(task_ms: Mapping[Task, float], budget: Budget) -> Schedule:
    """Fits rounds into the budget. task_ms: ms per call; for end-to-end, per image."""
    most = _MAX_CALLS if budget.row_s is None else math.inf
    calls = {}
    for task, ms in task_ms.items():
        fitting = round(budget.turn_s * 1000 / ms)
        # An end-to-end turn fills and drains the pipeline, so it needs more images, in whole batches.
        least = max(_MIN_IMAGES, 2 * task.batch) if task.scenario == "end-to-end" else 1
        calls[task] = int(min(max(fitting, least), most))
    if budget.row_s is not None:
        shortest_s = min(calls[task] * ms / 1000 for task, ms in task_ms.items())
        return Schedule(math.ceil(budget.row_s / shortest_s), calls)
    round_s = sum((calls[task] + 1) * ms / 1000 + _TURN_OVERHEAD_S for task, ms in task_ms.items())
    return Schedule(min(max(int(budget.rounds_s / round_s), MIN_ROUNDS), MAX_ROUNDS), calls)


def best_batch(batch_ms: Mapping[int, float]) -> int:
    """The smallest batch within 5 % of the highest throughput. batch_ms: time per call by batch size."""
    most = max(batch / ms for batch, ms in batch_ms.items())
    return min(batch for batch, ms in batch_ms.items() if batch / ms >= 0.95 * most)
