"""Memory of the running process, the computer's and the GPU's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ssr_edge.machine.energy.meter import Unmeasurable
from ssr_edge.machine.energy.nvml import open_nvml


def peak_rss_mb() -> float | None:
    """Largest resident memory so far, in 10^6 bytes; None where the system does not say (Windows)."""
    try:
        # getrusage's figure outlives exec on Linux: it would include the parent this process was forked from.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def device_mb() -> float | None:
    """What this process holds on the GPU, its CUDA context included, in 10^6 bytes; None where NVML does not say.

    It does not on a Jetson, under WSL and Windows' WDDM, and in a container, whose process ids are not the driver's.
    """
    try:
        nvml, handle = open_nvml()
    except Unmeasurable:
        return None
    try:
        processes = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:
        return None
    # A context on each part of a GPU that is divided (MIG) is a process of its own to NVML.
    used = [process.usedGpuMemory for process in processes if process.pid == os.getpid()]
    # No context is as small as nothing: a driver that says 0 does not know.
    return sum(used) / 1e6 if used and all(used) else None
