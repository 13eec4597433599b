"""Finds the energy meters of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssr_edge.machine.energy import jetson, nvml, rapl
from ssr_edge.machine.energy.meter import Meter, Unmeasurable


@dataclass(frozen=True)
class Found:
    """Meters of this machine, and the reason for each source without one."""

    meters: list[Meter]
    reasons: list[str]


def find_meters(root: Path = Path("/")) -> Found:
    """All meters. root: folder that contains `sys`."""
    sources: tuple[Callable[[], Sequence[Meter]], ...] = (
        lambda: rapl.find(root),
        lambda: nvml.find(),
        lambda: jetson.find(root),
    )
    meters: list[Meter] = []
    reasons: list[str] = []
    for source in sources:
        try:
            meters += source()
        except Unmeasurable as error:
            reasons.append(str(error))
    return Found(meters, reasons)
