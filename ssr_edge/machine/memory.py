"""Host and GPU memory of the running process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ssr_edge.machine.energy.meter import Unmeasurable
from ssr_edge.machine.energy.nvml import open_nvml


def peak_rss_mb() -> float | None:
    """Peak resident memory in 10^6 bytes; None if the system does not report it (Windows)."""
    try:
        # On Linux the value of getrusage survives exec and would include the parent process.
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
    """GPU memory of this process including its CUDA context, in 10^6 bytes; None if NVML does not report it.

    NVML does not report it on a Jetson, under WSL and Windows WDDM, and in containers, whose process ids differ from
    the driver's.
    """
    try:
        nvml, handle = open_nvml()
    except Unmeasurable:
        return None
    try:
        processes = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:
        return None
    # NVML lists each context on a MIG partition as a separate process.
    used = [process.usedGpuMemory for process in processes if process.pid == os.getpid()]
    # A context is never empty: 0 means that the driver does not know.
    return sum(used) / 1e6 if used and all(used) else None
