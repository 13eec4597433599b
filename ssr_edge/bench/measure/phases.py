"""Times the phases of a GPU engine's calls, and looks at the GPU while it is busy, in the engine's process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ssr_edge.images.preprocess import Image
from ssr_edge.machine.energy.nvml import GpuState, gpu_state
from ssr_edge.runners.base import Phases, Runner, TimesPhases

# The first calls with events make what events need.
_WARM_UP_CALLS = 3


@dataclass(frozen=True)
class PhasesAt:
    """The phases of a call of `batch` images: each the median of several calls, so that they are not one call's."""

    batch: int
    phases: Phases


def time_phases(runner: Runner, images: Image, batches: Sequence[int], calls: int) -> list[PhasesAt]:
    """The phases of a call at each batch; empty for a runner that has none.

    images: uint8 BGR [n, 224, 224, 3], at least as many as the largest batch; they are given in turn.

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
    """The GPU's state once the runner has kept it busy for `seconds`; None for a runner that is on none.

    An idle GPU lowers its clocks within moments, so that its state tells nothing of what was measured.
    """
    if not isinstance(runner, TimesPhases):
        return None
    started = time.perf_counter()
    batch = min(len(images), runner.max_batch)
    while time.perf_counter() - started < seconds:
        runner.infer(images[:batch])
    # One call is under way while NVML is asked.
    ticket = runner.submit(images[:batch])
    state = gpu_state()
    runner.collect(ticket)
    return state
