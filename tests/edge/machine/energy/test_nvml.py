"""NVML through a test double of nvidia-ml-py, whose names are checked against the real package."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ssr_edge.machine.energy import nvml
from ssr_edge.machine.energy.meter import Unmeasurable
from ssr_edge.machine.energy.nvml import GpuState, gpu_state
from ssr_edge.machine.gpu import find_gpu


class NVMLError(Exception):
    """As the package's: `str` is NVIDIA's text."""


class Nvml(ModuleType):
    """pynvml on a machine with one GPU. missing: calls that its driver does not support."""

    NVMLError, NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = NVMLError, 1, 0

    def __init__(self, *missing: str) -> None:
        super().__init__("pynvml")
        self.missing, self.millijoules, self.asked = missing, 1_000_000, ""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("nvml") and name in super().__getattribute__("missing"):
            raise NVMLError("Not Supported")
        return super().__getattribute__(name)

    def nvmlInit(self) -> None:  # noqa: N802 (NVIDIA's names)
        pass

    def nvmlDeviceGetHandleByPciBusId(self, bus_id: str) -> str:  # noqa: N802
        self.asked = bus_id
        return "handle"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        assert handle == "handle"
        return self.millijoules

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:  # noqa: N802
        return 71_250

    def nvmlDeviceGetClockInfo(self, handle: str, clock: int) -> int:  # noqa: N802
        return {1: 1980}[clock]

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:  # noqa: N802
        return {0: 64}[sensor]

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:  # noqa: N802
        return 0x4 | 0x20


def install(monkeypatch: pytest.MonkeyPatch, module: Nvml | None) -> None:
    monkeypatch.setattr(nvml, "pci_bus_id", lambda: "0000:01:00.0")
    monkeypatch.setitem(sys.modules, "pynvml", module)


def test_energy_is_the_difference_of_a_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Nvml()
    install(monkeypatch, module)
    (meter,) = nvml.find()
    assert module.asked == "0000:01:00.0"
    meter.start()
    module.millijoules += 1234
    assert meter.stop() == pytest.approx(1.234)


def test_the_state_is_in_words_and_units(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Nvml())
    assert gpu_state() == GpuState(1980, 64, 71.25, ["power limit", "too hot (software)"])


def test_what_a_driver_does_not_report_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Nvml("nvmlDeviceGetPowerUsage", "nvmlDeviceGetCurrentClocksThrottleReasons"))
    assert gpu_state() == GpuState(1980, 64, None, [])


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetHandleByPciBusId", "nvmlDeviceGetTotalEnergyConsumption"])
def test_a_driver_that_fails_gives_its_reason(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    install(monkeypatch, Nvml(call))
    with pytest.raises(Unmeasurable, match="Not Supported"):
        nvml.find()


def test_a_missing_package_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, None)
    with pytest.raises(Unmeasurable, match="pip install nvidia-ml-py"):
        nvml.find()
    assert "pip install nvidia-ml-py" in (gpu_state().reason or "")


def test_without_a_gpu_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, None)
    monkeypatch.setattr(nvml, "pci_bus_id", lambda: None)
    assert gpu_state() == GpuState(reason="GPU energy not available: no NVIDIA GPU")


def test_every_name_is_the_real_packages() -> None:
    real = pytest.importorskip("pynvml")
    names = set(re.findall(r"nvml\.([A-Za-z_]+)", Path(nvml.__file__).read_text()))
    assert len(names) == 10
    assert [name for name in sorted(names) if not hasattr(real, name)] == []
    for bit, word in (
        (0x1, "GpuIdle"),
        (0x4, "SwPowerCap"),
        (0x20, "SwThermalSlowdown"),
        (0x80, "HwPowerBrakeSlowdown"),
    ):
        assert getattr(real, f"nvmlClocksThrottleReason{word}") == bit


@pytest.mark.skipif(find_gpu() is not None, reason="has a GPU")
def test_the_real_package_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pynvml")
    monkeypatch.setattr(nvml, "pci_bus_id", lambda: "0000:01:00.0")
    with pytest.raises(Unmeasurable, match="NVML Shared Library Not Found"):
        nvml.find()
