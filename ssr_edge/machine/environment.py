"""Describes this machine, so that measurements can be compared."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ssr_edge.machine.cpu import cpu_conditions
from ssr_edge.machine.gpu import find_gpu

# Instruction sets that determine the speed of integer and half-precision arithmetic; the last four are ARM's.
_INSTRUCTION_SETS = (
    "avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "i8mm", "sve",
)  # fmt: skip
_PACKAGES = (
    "ssr-edge",
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "onnx",
    "openvino",
    "onnxruntime",
    "torch",
    "tensorrt",
    "tensorrt-rtx",
    "tensorrt_rtx_cu13_bindings",
    "pycuda",
)


def machine_facts() -> dict[str, Any]:
    """Facts about this machine as plain JSON values; None if unknown.

    board: name of a single-board computer, e.g. a Jetson. memory_gb: units of 10^9 bytes.
    load_average: runnable processes, over the last minute. Other fields: see `cpu_conditions`.
    """
    cpuinfo = _cpuinfo()
    gpu = find_gpu()
    return {
        "cpu": cpuinfo.get("model name") or cpuinfo.get("Model") or platform.processor() or platform.machine(),
        "board": (_read("/proc/device-tree/model") or "").strip("\0") or None,
        "cores": usable_cores(),
        "instruction_sets": _instruction_sets(cpuinfo),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory_gb": _memory_gb(),
        "load_average": load_average(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "packages": installed_versions(),
        "gpu": None if gpu is None else asdict(gpu),
        **cpu_conditions(_read, cpuinfo),
    }


def usable_cores() -> int:
    """Cores that this process may run on; fewer than the machine has in a container or under taskset."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_average() -> float | None:
    """Runnable processes, over the last minute; None on Windows."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def installed_versions() -> dict[str, str]:
    """Versions of the installed packages that affect results; imports nothing."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _cpuinfo() -> dict[str, str]:
    """First processor of /proc/cpuinfo; empty without the file."""
    lines = (line.partition(":") for line in (_read("/proc/cpuinfo") or "").splitlines())
    fields: dict[str, str] = {}
    for key, _, value in lines:
        fields.setdefault(key.strip(), value.strip())
    return fields


def _instruction_sets(cpuinfo: dict[str, str]) -> list[str]:
    flags = set((cpuinfo.get("flags") or cpuinfo.get("Features") or "").split())
    return [name for name in _INSTRUCTION_SETS if name in flags]


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, OSError, ValueError):  # not on Windows
        return None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
