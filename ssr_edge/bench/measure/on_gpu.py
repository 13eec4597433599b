"""Asks the engines that run on a GPU what is found there alone: the phases of calls, their memory, the GPU's state."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ssr_edge.bench.measure.phases import PhasesAt
from ssr_edge.bench.measure.process import WorkerError, Workers
from ssr_edge.bench.measure.rounds import Finished
from ssr_edge.bench.measure.schedule import Task
from ssr_edge.machine.energy.nvml import GpuState
from ssr_edge.runners.base import Phases

_CALLS = 20
# From Ampere on NVML's power is the mean of the last second (nvmlDeviceGetPowerUsage).
_LOAD_S = 1.5


@dataclass(frozen=True)
class OnGpu:
    """By engine: the phases of its calls, and what its process held on the GPU in the end, of 10^6 bytes.

    before, after: the GPU under an engine's load, before the rounds and after them. reasons: why an engine has no
    phases, in words.
    """

    phases: dict[str, list[PhasesAt]] = field(default_factory=dict)
    device_mb: dict[str, float] = field(default_factory=dict)
    before: GpuState | None = None
    after: GpuState | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def engines(self) -> list[str]:
        """Those of which anything is known."""
        return list(self.phases | self.device_mb | self.reasons)


def ask_gpu_state(workers: Workers, seconds: float = _LOAD_S) -> GpuState | None:
    """The GPU under the load of the first engine that runs on one; None where none does. All others sleep meanwhile."""
    for name in list(workers.running):
        reply = workers.ask(name, do="gpu_state", seconds=seconds)
        if reply is not None and reply["state"] is not None:
            return GpuState(**reply["state"])
    return None


def ask_on_gpu(
    workers: Workers,
    finished: Mapping[str, Finished],
    tasks: Collection[Task],
    before: GpuState | None,
    after: GpuState | None,
    calls: int = _CALLS,
) -> OnGpu | None:
    """All that was found on the GPU; None where no engine runs on one. To be asked after the engines' last words.

    finished: the engines to ask. tasks: theirs; phases are timed at batch 1 and at the batches of their offline rows.
    An engine that fails now has no phases; all else that was measured of it holds.
    """
    phases: dict[str, list[PhasesAt]] = {}
    reasons: dict[str, str] = {}
    for name in finished:
        offline = {task.batch for task in tasks if (task.engine, task.scenario) == (name, "offline")}
        try:
            reply = workers.running[name].ask({"do": "phases", "batches": sorted({1} | offline), "calls": calls})
        except WorkerError as error:
            reasons[name] = str(error)
            continue
        if reply["phases"]:
            phases[name] = [PhasesAt(row["batch"], Phases(**row["phases"])) for row in reply["phases"]]
    memory = {name: last.device_mb for name, last in finished.items() if last.device_mb is not None}
    return OnGpu(phases, memory, before, after, reasons) if phases or memory or before or reasons else None
