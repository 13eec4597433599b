"""How much energy an engine takes: of the processor, the GPU's board or a Jetson's module, where the machine tells."""

from __future__ import annotations

from ssr_edge.bench.energy.clock import EnergyClock
from ssr_edge.bench.energy.find import Found, find_meters
from ssr_edge.bench.energy.meter import Meter, Unmeasurable
from ssr_edge.bench.energy.nvml import GpuState, gpu_state

__all__ = ["EnergyClock", "Found", "GpuState", "Meter", "Unmeasurable", "find_meters", "gpu_state"]
