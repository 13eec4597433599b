"""Asks every source what it can measure on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssr_edge.machine.energy import jetson, nvml, rapl
from ssr_edge.machine.energy.meter import Meter, Unmeasurable


@dataclass(frozen=True)
class Found:
    """The meters of this machine; and for each source without one, why, in words."""

    meters: list[Meter]
    reasons: list[str]


def find_meters(root: Path = Path("/")) -> Found:
    """Every meter. root: where `sys` is."""
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
