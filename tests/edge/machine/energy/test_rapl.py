from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.machine.energy import rapl
from ssr_edge.machine.energy.find import find_meters
from ssr_edge.machine.energy.meter import Unmeasurable
from ssr_edge.machine.energy.rapl import counted

LARGEST = 262_143_328_850  # of a Xeon; uJ


def zone(root: Path, folder: str, name: str, joules: float = 0, largest: int = LARGEST) -> Path:
    path = root / "sys" / "class" / "powercap" / folder
    path.mkdir(parents=True, exist_ok=True)
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(f"{round(joules * 1e6)}\n")
    (path / "max_energy_range_uj").write_text(f"{largest}\n")
    return path


@given(before=st.integers(0, LARGEST - 1), taken=st.integers(0, LARGEST - 1))
def test_a_counter_that_begins_again_loses_nothing(before: int, taken: int) -> None:
    assert counted(before, (before + taken) % LARGEST, LARGEST) == taken


def test_packages_and_memory_of_two_processors_are_found_and_not_what_is_inside_them(tmp_path: Path) -> None:
    for number in (0, 1):
        zone(tmp_path, f"intel-rapl:{number}", f"package-{number}")
        zone(tmp_path, f"intel-rapl:{number}:0", "dram")
        zone(tmp_path, f"intel-rapl:{number}:1", "core")
    zone(tmp_path, "intel-rapl:2", "psys")
    zone(tmp_path, "intel-rapl-mmio:0", "package-0")  # the same counter by another way
    names = [meter.name for meter in rapl.find(tmp_path)]
    assert names == ["rapl package-0", "rapl dram-0", "rapl package-1", "rapl dram-1", "rapl psys"]


def test_joules_are_counted_over_the_end_of_the_counter(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", joules=1000, largest=1_000_500_000)
    (meter,) = rapl.find(tmp_path)
    for before, after, taken in ((1000, 1000.25, 0.25), (1000.25, 2, 2.25), (2, 44, 42)):
        zone(tmp_path, folder.name, "package-0", before, 1_000_500_000)
        meter.start()
        zone(tmp_path, folder.name, "package-0", after, 1_000_500_000)
        assert meter.stop() == pytest.approx(taken)


def test_counters_of_roots_alone_come_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0")
    real = Path.read_text

    def refuse(path: Path, **options: str) -> str:
        if path == folder / "energy_uj":
            raise PermissionError(13, "Permission denied")
        return real(path, **options)

    # Tests may run as root, who can read everything.
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(Unmeasurable, match=r"sudo chmod a\+r /sys/class/powercap/\*/energy_uj"):
        rapl.find(tmp_path)


def test_a_broken_zone_is_skipped(tmp_path: Path) -> None:
    (zone(tmp_path, "intel-rapl:1", "psys") / "energy_uj").write_text("no number\n")
    zone(tmp_path, "intel-rapl:0", "package-0")
    assert [meter.name for meter in rapl.find(tmp_path)] == ["rapl package-0"]


def test_a_machine_without_counters_is_unmeasurable(tmp_path: Path) -> None:
    assert "/sys/class/powercap" in find_meters(tmp_path).reasons[0]
    zone(tmp_path, "intel-rapl:0", "core")
    assert "/sys/class/powercap" in find_meters(tmp_path).reasons[0]
