"""Measures the processor share of other programs while an engine is timed; a high share makes its figures unreliable.

Paired rounds do not compensate for it, because contention slows engines unequally: PyTorch's threads wait for each
other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssr_edge.machine.environment import usable_cores

_STAT = Path("/proc/stat")
# Fields of a cpu line: user nice system idle iowait irq softirq steal; user and nice already include guest time.
_IDLE_FIELDS, _FIELDS = (3, 4), 8


class ContentionClock:
    """Accumulates the processor time of other programs inside `watch` blocks."""

    def __init__(self) -> None:
        self._others_s = 0.0
        self._watched_s = 0.0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Adds the time of the block."""
        busy, own, started = busy_seconds(), time.process_time(), time.perf_counter()
        yield
        now_busy, now_own, now = busy_seconds(), time.process_time(), time.perf_counter()
        if busy is not None and now_busy is not None:
            # A single block may be negative, since the system counts in ticks; the sum is not.
            self._others_s += (now_busy - busy) - (now_own - own)
            self._watched_s += now - started

    def share(self) -> float | None:
        """Share of the usable cores that other programs used, 0 to 1; None if the system does not report it."""
        if self._watched_s == 0:
            return None
        return min(max(self._others_s / (self._watched_s * usable_cores()), 0.0), 1.0)


def busy_seconds() -> float | None:
    """Processor time of all programs on the usable cores since boot; None except on Linux."""
    try:
        lines = _STAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    usable = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    ticks = 0
    for name, *fields in (line.split() for line in lines if line.startswith("cpu")):
        if name in usable:
            ticks += sum(int(value) for place, value in enumerate(fields[:_FIELDS]) if place not in _IDLE_FIELDS)
    return float(ticks / os.sysconf("SC_CLK_TCK"))
