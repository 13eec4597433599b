"""Times the phases of a GPU engine's calls, and reads the GPU state under load, in the engine's process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ssr_edge.images.preprocess import Image
from ssr_edge.machine.energy.nvml import GpuState, gpu_state
from ssr_edge.runners.base import Phases, Runner, TimesPhases

# The first calls with events initialize event resources.
_WARM_UP_CALLS = 3


@dataclass(frozen=True)
class PhasesAt:
    """Median duration of each phase over several calls of `batch` images."""

    batch: int
    phases: Phases


def time_phases(runner: Runner, images: Image, batches: Sequence[int], calls: int) -> list[PhasesAt]:
    """Phases of a call at each batch size; empty for a runner without phases.

    images: uint8 BGR [n, 224, 224, 3], n >= the largest batch; used in turn.

    Raises:
        UsageError, RuntimeUnavailable: as the runner's `submit`.
    """
    if not isinstance(runner, TimesPhases):
        return []
    found = []
    for batch in batches:
        starts = [number * batch % (len(images) - batch + 1) for number in range(_WARM_UP_CALLS + calls)]
        rows = [asdict(runner.phases(images[start : start + batch])) for start in starts][_WARM_UP_CALLS:]
        medians = {name: float(np.median([row[name] for row in rows])) for name in rows[0]}
        found.append(PhasesAt(batch, Phases(**medians)))
    return found


def state_under_load(runner: Runner, images: Image, seconds: float) -> GpuState | None:
    """GPU state after the runner has kept it busy for `seconds`; None for a runner that does not use a GPU.

    An idle GPU lowers its clocks quickly, so its idle state does not describe the measurement.
    """
    if not isinstance(runner, TimesPhases):
        return None
    started = time.perf_counter()
    batch = min(len(images), runner.max_batch)
    while time.perf_counter() - started < seconds:
        runner.infer(images[:batch])
    # Query NVML while a call is in flight.
    ticket = runner.submit(images[:batch])
    state = gpu_state()
    runner.collect(ticket)
    return state
