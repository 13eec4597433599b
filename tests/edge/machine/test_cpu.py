from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.machine.cpu import Read, cpu_conditions
from ssr_edge.machine.environment import machine_facts

_CPU = "sys/devices/system/cpu"


def under(root: Path, files: Mapping[str, str]) -> Read:
    """Reads below `root`, in which `files` are written."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(path: str) -> str | None:
        file = root / path.lstrip("/")
        return file.read_text().strip() if file.is_file() else None

    return read


def test_a_xeon_in_a_container(tmp_path: Path) -> None:
    read = under(
        tmp_path,
        {
            f"{_CPU}/cpu0/topology/thread_siblings_list": "0,64\n",
            f"{_CPU}/cpu0/cpufreq/scaling_cur_freq": "3400123\n",
            f"{_CPU}/cpu0/cpufreq/scaling_min_freq": "800000\n",
            f"{_CPU}/cpu0/cpufreq/scaling_max_freq": "4100000\n",
            f"{_CPU}/intel_pstate/no_turbo": "1\n",
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
        },
    )
    found = cpu_conditions(read, {"flags": "fpu avx2 hypervisor", "cpu MHz": "2000.0"})
    assert found.pop("affinity") == sorted(os.sched_getaffinity(0))
    assert found == {
        "threads_per_core": 2,
        "mhz": {"now": 3400, "min": 800, "max": 4100},
        "turbo": False,
        "cpu_limit": 1.5,
        "virtual": True,
    }


def test_a_jetson(tmp_path: Path) -> None:
    read = under(
        tmp_path,
        {f"{_CPU}/cpu0/topology/thread_siblings_list": "0\n", f"{_CPU}/cpu0/cpufreq/scaling_cur_freq": "1984000\n"},
    )
    found = cpu_conditions(read, {"Features": "fp asimd"})
    assert (found["threads_per_core"], found["mhz"]["now"], found["turbo"], found["virtual"]) == (1, 1984, None, None)


@pytest.mark.parametrize(
    ("file", "text", "key", "value"),
    [
        (f"{_CPU}/cpufreq/boost", "1", "turbo", True),
        (f"{_CPU}/cpufreq/boost", "0", "turbo", False),
        (f"{_CPU}/intel_pstate/no_turbo", "0", "turbo", True),
        (f"{_CPU}/cpu0/topology/thread_siblings_list", "0-3", "threads_per_core", 4),
        (f"{_CPU}/cpu0/topology/thread_siblings_list", "0-1,8-9", "threads_per_core", 4),
        ("sys/fs/cgroup/cpu.max", "max 100000", "cpu_limit", None),
        ("sys/fs/cgroup/cpu.max", "100000 0", "cpu_limit", None),
        # What no kernel writes must not end a benchmark.
        (f"{_CPU}/cpufreq/boost", "performance", "turbo", None),
        (f"{_CPU}/cpu0/topology/thread_siblings_list", "performance", "threads_per_core", None),
    ],
)
def test_each_file_by_itself(tmp_path: Path, file: str, text: str, key: str, value: Any) -> None:
    read = under(tmp_path, {file: text})
    assert cpu_conditions(read, {})[key] == value


def test_a_control_group_of_version_1(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/cpu/cpu."
    read = under(tmp_path, {f"{folder}cfs_quota_us": "200000", f"{folder}cfs_period_us": "100000"})
    assert cpu_conditions(read, {})["cpu_limit"] == 2
    assert cpu_conditions(under(tmp_path, {f"{folder}cfs_quota_us": "-1"}), {})["cpu_limit"] is None


def test_a_virtual_machine_has_its_clock_from_cpuinfo_alone() -> None:
    found = cpu_conditions(lambda _: None, {"flags": "avx2", "cpu MHz": "2445.404"})
    assert (found["mhz"], found["virtual"]) == ({"now": 2445, "min": None, "max": None}, False)


def test_a_machine_without_proc_sys_and_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    found = cpu_conditions(lambda _: None, {"cpu MHz": "unknown"})
    assert found.pop("mhz") == {"now": None, "min": None, "max": None}
    assert set(found.values()) == {None}


def test_they_are_among_the_machines_facts() -> None:
    assert set(cpu_conditions(lambda _: None, {})) <= set(machine_facts())
