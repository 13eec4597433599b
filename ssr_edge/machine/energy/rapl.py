"""Energy counters of the processor (RAPL; Intel, and AMD from Zen on) through Linux powercap.

https://docs.kernel.org/power/powercap/powercap.html. Since Linux 5.10 only root can read them, because they leak
secrets of other programs (CVE-2020-8694).
"""

from __future__ import annotations

import re
from pathlib import Path

from ssr_edge.machine.energy.meter import Unmeasurable

_POWERCAP = Path("sys/class/powercap")
# What a zone includes, by name. Cores and graphics ("core", "uncore") are part of the package zone.
_ZONES = (
    (
        re.compile(r"package-\d+(-die-\d+)?"),
        "the processor package including other programs: cores, caches, graphics",
    ),
    (re.compile(r"dram"), "the memory modules"),
    (re.compile(r"psys"), "the whole platform as defined by its firmware, including the processor package"),
)
_READABLE = f"sudo chmod a+r /{_POWERCAP}/*/energy_uj  (until the next reboot)"


class RaplMeter:
    """Counter of one zone. folder: powercap folder, e.g. `intel-rapl:0`."""

    def __init__(self, folder: Path, name: str, what: str) -> None:
        self.name, self.what = name, what
        self._counter = folder / "energy_uj"
        self._range = _read(folder / "max_energy_range_uj")
        self._started = _read(self._counter)

    def start(self) -> None:
        """See Meter."""
        self._started = _read(self._counter)

    def stop(self) -> float:
        """See Meter. A measurement longer than one counter period (45 minutes at 100 W) loses whole periods."""
        return counted(self._started, _read(self._counter), self._range) / 1e6


def find(root: Path) -> list[RaplMeter]:
    """Finds the meters of all processors and their memory. root: `/`.

    Raises:
        Unmeasurable: there are none, or only root can read them.
    """
    zones = sorted((root / _POWERCAP).glob("intel-rapl:*"))
    if not zones:
        raise Unmeasurable(
            f"no RAPL: no counter in /{_POWERCAP}, as in most virtual machines and on processors other than x86"
        )
    found: list[RaplMeter] = []
    failures: list[Unmeasurable] = []
    for zone in zones:
        try:
            found += _meters(zone)
        except Unmeasurable as error:
            failures.append(error)
    if not found:
        nothing = Unmeasurable(f"no RAPL: no zone of a package, of memory or of the platform in /{_POWERCAP}")
        raise (failures or [nothing])[0]
    return found


def counted(before: int, after: int, largest: int) -> int:
    """Difference of two readings of a counter that wraps after `largest`, less than one period apart."""
    return after - before if after >= before else largest - before + after


def _meters(zone: Path) -> list[RaplMeter]:
    """The meter of a zone; empty for other kinds of zones."""
    try:
        name = (zone / "name").read_text(encoding="ascii").strip()
    except OSError as error:
        raise Unmeasurable(f"RAPL: {zone} can't be read: {error.strerror}") from error
    # `intel-rapl:1:0` belongs to package 1; the number distinguishes the memory zones of two packages.
    unique = f"{name}-{zone.name.split(':')[1]}" if name == "dram" else name
    return [RaplMeter(zone, f"rapl {unique}", what) for pattern, what in _ZONES if pattern.fullmatch(name)]


def _read(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except PermissionError as error:
        raise Unmeasurable(f"RAPL counters are readable only by root since Linux 5.10: {_READABLE}") from error
    except (OSError, ValueError) as error:
        raise Unmeasurable(f"RAPL: {path} can't be read: {error}") from error
