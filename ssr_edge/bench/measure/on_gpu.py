"""Collects GPU measurements from the workers: phases of calls, memory, and GPU state."""

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
# From Ampere on, NVML power is averaged over the last second (nvmlDeviceGetPowerUsage).
_LOAD_S = 1.5


@dataclass(frozen=True)
class OnGpu:
    """By engine: phases of its calls, and GPU memory of its process at the end, in 10^6 bytes.

    before, after: GPU state under load before and after the rounds. reasons: why an engine has no phases.
    """

    phases: dict[str, list[PhasesAt]] = field(default_factory=dict)
    device_mb: dict[str, float] = field(default_factory=dict)
    before: GpuState | None = None
    after: GpuState | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def engines(self) -> list[str]:
        """Engines with any GPU measurement."""
        return list(self.phases | self.device_mb | self.reasons)


def ask_gpu_state(workers: Workers, seconds: float = _LOAD_S) -> GpuState | None:
    """GPU state under load by the first GPU engine; None without one. All other workers must be idle."""
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
    """GPU measurements; None if no engine uses a GPU. Must come after `finish`.

    finished: the engines to query. tasks: their tasks; phases are timed at batch 1 and at the offline batch sizes.
    An engine that fails here has no phases; its other measurements remain valid.
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
    memory = {name: final.device_mb for name, final in finished.items() if final.device_mb is not None}
    return OnGpu(phases, memory, before, after, reasons) if phases or memory or before or reasons else None
