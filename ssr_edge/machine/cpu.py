"""Conditions that affect the speed of a processor: clocks, turbo, affinity, container limits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

# Returns the text of a file, or None.
Read = Callable[[str], str | None]

_CPU = "/sys/devices/system/cpu"


def cpu_conditions(read: Read, cpuinfo: Mapping[str, str]) -> dict[str, Any]:
    """Facts as plain JSON values; None if unknown. cpuinfo: one processor of /proc/cpuinfo.

    affinity: processors that this process may run on. threads_per_core: hardware threads per core.
    mhz: current, minimum and maximum clock of processor 0. turbo: whether it may exceed its nominal clock.
    cpu_limit: container limit in processors. virtual: whether it runs under a hypervisor.
    """
    flags = cpuinfo.get("flags")
    return {
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads_per_core": _count(read(f"{_CPU}/cpu0/topology/thread_siblings_list")),
        "mhz": {
            "now": _mhz(read(f"{_CPU}/cpu0/cpufreq/scaling_cur_freq")) or _rounded(cpuinfo.get("cpu MHz")),
            "min": _mhz(read(f"{_CPU}/cpu0/cpufreq/scaling_min_freq")),
            "max": _mhz(read(f"{_CPU}/cpu0/cpufreq/scaling_max_freq")),
        },
        "turbo": _turbo(read),
        "cpu_limit": _cpu_limit(read),
        "virtual": None if flags is None else "hypervisor" in flags.split(),
    }


def _turbo(read: Read) -> bool | None:
    # Intel's driver reports the inverse.
    no_turbo, boost = read(f"{_CPU}/intel_pstate/no_turbo"), read(f"{_CPU}/cpufreq/boost")
    if no_turbo in ("0", "1"):
        return no_turbo == "0"
    return boost == "1" if boost in ("0", "1") else None


def _cpu_limit(read: Read) -> float | None:
    """Limit of the control group: version 2 has quota and period in one file, version 1 in two."""
    quota, _, period = (read("/sys/fs/cgroup/cpu.max") or "").partition(" ")
    if not period:
        quota = read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") or ""
        period = read("/sys/fs/cgroup/cpu/cpu.cfs_period_us") or ""
    # `max`, or -1 in version 1, means no limit.
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return None
    return round(int(quota) / int(period), 2)


def _count(listed: str | None) -> int | None:
    """Number of entries in a list such as `0,64` or `0-1,4`."""
    try:
        ranges = [[int(end) for end in part.split("-")] for part in (listed or "").split(",")]
    except ValueError:
        return None
    return sum(ends[-1] - ends[0] + 1 for ends in ranges)


def _mhz(khz: str | None) -> int | None:
    return round(int(khz) / 1000) if khz is not None and khz.isdecimal() else None


def _rounded(mhz: str | None) -> int | None:
    try:
        return round(float(mhz)) if mhz else None
    except (ValueError, OverflowError):
        return None
