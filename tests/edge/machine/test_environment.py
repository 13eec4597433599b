from __future__ import annotations

import json
import os
from importlib.metadata import version

import pytest

from ssr_edge.machine import environment
from ssr_edge.machine.environment import installed_versions, machine_facts, usable_cores

_ARM = "processor : 0\nFeatures : fp asimd asimddp i8mm\n\nprocessor : 1\nFeatures : fp\n"
_X86 = "processor\t: 0\nmodel name\t: Fast CPU 3000\nflags\t\t: sse avx2 avx512f avx512_vnni avx512_bf16 amx_int8\n"


def _read(**files: str | None):  # type: ignore[no-untyped-def]
    by_path = {"/proc/cpuinfo": files.get("cpuinfo")}
    return lambda path: by_path.get(path, files.get("other"))


def test_facts_are_plain_json_with_the_fields_of_bench_json() -> None:
    facts = json.loads(json.dumps(machine_facts()))
    assert facts["cpu"]
    assert 1 <= facts["cores"] <= (os.cpu_count() or 1)
    assert facts["packages"]["numpy"] == version("numpy")
    assert {"board", "governor", "load_average", "os", "python", "gpu", "memory_gb", "instruction_sets"} <= set(facts)


def test_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_read", _read(cpuinfo=_X86, other="performance"))
    facts = machine_facts()
    assert facts["cpu"] == "Fast CPU 3000"
    assert facts["instruction_sets"] == ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"]
    assert facts["governor"] == "performance"


def test_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_read", _read(cpuinfo=_ARM, other="NVIDIA Jetson Orin Nano\0"))
    facts = machine_facts()
    assert facts["instruction_sets"] == ["asimd", "asimddp", "i8mm"]
    assert facts["board"] == "NVIDIA Jetson Orin Nano"


def test_a_machine_without_proc_and_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_read", lambda _: None)
    for name in ("sched_getaffinity", "getloadavg", "sysconf"):
        monkeypatch.delattr(os, name, raising=False)
    facts = machine_facts()
    assert facts["cpu"]
    assert (facts["instruction_sets"], facts["governor"], facts["memory_gb"], facts["load_average"]) == ([],) + (
        None,
    ) * 3
    assert usable_cores() == (os.cpu_count() or 1)


def test_versions_name_only_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_PACKAGES", ("numpy", "no-such-package-anywhere"))
    assert installed_versions() == {"numpy": version("numpy")}
