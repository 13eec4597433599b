"""Memory of this process; GPU memory through a test double of nvidia-ml-py."""

from __future__ import annotations

import os
import re
import sys
from inspect import getsource
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from ssr_edge.machine import memory
from ssr_edge.machine.energy import nvml
from ssr_edge.machine.memory import device_mb, peak_rss_mb


class NVMLError(Exception):
    """As the package's."""


class Nvml(ModuleType):
    """pynvml on a machine with one GPU. processes: (id, bytes on the GPU); None where its driver does not tell."""

    NVMLError = NVMLError

    def __init__(self, processes: list[tuple[int, int | None]] | None) -> None:
        super().__init__("pynvml")
        self.processes = processes

    def nvmlInit(self) -> None:  # noqa: N802 (NVIDIA's names)
        pass

    def nvmlDeviceGetHandleByPciBusId(self, bus_id: str) -> str:  # noqa: N802
        return f"handle of {bus_id}"

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[SimpleNamespace]:  # noqa: N802
        assert handle == "handle of 0000:01:00.0"
        if self.processes is None:
            raise NVMLError("Not Supported")
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.processes]


@pytest.mark.parametrize(
    ("processes", "mb"),
    [
        ([(1, 99_000_000), (os.getpid(), 512_000_000)], 512.0),
        ([(os.getpid(), 512_000_000), (os.getpid(), 1_000_000)], 513.0),  # on two parts of a divided GPU
        ([(1, 99_000_000)], None),  # in a container, whose process ids are others
        ([], None),
        ([(os.getpid(), None)], None),  # Windows
        ([(os.getpid(), 0)], None),
        (None, None),  # a Jetson
    ],
)
def test_the_gpu_memory_of_this_process(
    monkeypatch: pytest.MonkeyPatch, processes: list[tuple[int, int | None]] | None, mb: float | None
) -> None:
    monkeypatch.setattr(nvml, "pci_bus_id", lambda: "0000:01:00.0")
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(processes))
    assert device_mb() == mb


def test_without_a_gpu_or_the_package_it_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    for bus_id in (None, "0000:01:00.0"):
        monkeypatch.setattr(nvml, "pci_bus_id", lambda bus_id=bus_id: bus_id)
        assert device_mb() is None


def test_every_name_is_the_real_packages() -> None:
    real = pytest.importorskip("pynvml")
    names = set(re.findall(r"nvml\.([A-Za-z_]+)", getsource(memory.device_mb)))
    assert names == {"nvmlDeviceGetComputeRunningProcesses", "NVMLError"}
    assert all(hasattr(real, name) for name in names)
    assert "usedGpuMemory" in dict(real.c_nvmlProcessInfo_v3_t._fields_)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux's own figure")
def test_the_peak_covers_what_was_taken() -> None:
    before = peak_rss_mb()
    taken = bytearray(b"x") * 200_000_000
    after = peak_rss_mb()
    assert before is not None and after is not None
    assert after >= 200 and len(taken) == 200_000_000
