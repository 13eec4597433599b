from __future__ import annotations

import ctypes
from typing import Any

import pytest

from ssr_edge.machine.gpu import Gpu, find_gpu, pci_bus_id


class Driver:
    """libcuda.so.1 of a machine with an RTX 4070, as far as `find_gpu` asks it."""

    def __init__(self, count: int = 1, init: int = 0, device: int = 0, bus: int = 0) -> None:
        self.count, self.init, self.device, self.bus, self.asked = count, init, device, bus, -1

    def cuInit(self, flags: int) -> int:  # noqa: N802 (the driver's names)
        return self.init

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.count
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:  # noqa: N802
        self.asked = number
        return self.device

    def cuDeviceGetPCIBusId(self, text: Any, size: int, device: Any) -> int:  # noqa: N802
        text.value = b"0000:01:00.0"[: size - 1]
        return self.bus

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:  # noqa: N802
        name.value = b"NVIDIA GeForce RTX 4070"[: size - 1]
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 13010
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:  # noqa: N802
        value._obj.value = {75: 8, 76: 9}[attribute]
        return 0


def use(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)


def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Driver())
    found = find_gpu()
    assert found == Gpu("NVIDIA GeForce RTX 4070", "8.9", "13.1")
    assert found.architecture == "sm_89"


@pytest.mark.parametrize(("variable", "number"), [(None, 0), ("1", 1), ("the fast one", 0)])
def test_the_gpu_is_the_one_that_the_runners_use(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, number: int
) -> None:
    driver = Driver()
    use(monkeypatch, driver)
    monkeypatch.delenv("CUDA_DEVICE", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUDA_DEVICE", variable)
    assert pci_bus_id() == "0000:01:00.0"
    assert driver.asked == number


@pytest.mark.parametrize("driver", [Driver(count=0), Driver(init=100), Driver(device=101)])
def test_a_driver_without_a_device_is_no_gpu(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> None:
    use(monkeypatch, driver)
    assert find_gpu() is None
    assert pci_bus_id() is None


def test_a_driver_may_not_report_the_bus_id(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Driver(bus=1))
    assert find_gpu() is not None
    assert pci_bus_id() is None


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert find_gpu() is None
