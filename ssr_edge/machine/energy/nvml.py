"""What NVIDIA's driver tells of the GPU through NVML: energy since it was loaded (from Volta on), clocks, heat.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html; the package is nvidia-ml-py, its module pynvml.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from ssr_edge.machine.energy.meter import Unmeasurable
from ssr_edge.machine.gpu import pci_bus_id

# Bits of nvmlClocksEventReasons, formerly nvmlClocksThrottleReasons.
_THROTTLED = {
    0x1: "idle",
    0x2: "clocks set by the user",
    0x4: "power limit",
    0x8: "slowed down by the hardware",
    0x10: "synchronized with other GPUs",
    0x20: "too hot (software)",
    0x40: "too hot (hardware)",
    0x80: "power brake",
    0x100: "clocks set by the display",
}


@dataclass(frozen=True)
class GpuState:
    """The GPU at one moment. sm_clock_mhz: of its multiprocessors. throttled: why it runs below its highest clocks.

    None is what it does not tell. reason: why it tells nothing at all, in words.
    """

    sm_clock_mhz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    throttled: list[str] = field(default_factory=list)
    reason: str | None = None


def gpu_state() -> GpuState:
    """The state of the GPU that our runners use."""
    try:
        nvml, handle = open_nvml()
    except Unmeasurable as error:
        return GpuState(reason=str(error))

    def ask(call: Callable[[], Any]) -> Any:
        # Each figure by itself: a Jetson's driver, or a laptop's, tells some of them.
        try:
            return call()
        except nvml.NVMLError:
            return None

    power = ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
    return GpuState(
        sm_clock_mhz=ask(lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
        temperature_c=ask(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        power_w=None if power is None else power / 1000,
        throttled=_throttled(ask(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)) or 0),
    )


class NvmlMeter:
    """The GPU's energy counter. The driver renews it in steps, so a single short turn tells little."""

    name = "gpu board"
    what = "the whole graphics card, its memory and losses included, whoever uses it"

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle
        self._started = self._read()

    def start(self) -> None:
        """See Meter."""
        self._started = self._read()

    def stop(self) -> float:
        """See Meter."""
        return (self._read() - self._started) / 1000

    def _read(self) -> int:
        try:
            return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        except self._nvml.NVMLError as error:
            raise Unmeasurable(f"no energy of the GPU: NVML says {error}") from error


def find() -> list[NvmlMeter]:
    """The meter of the GPU that our runners use.

    Raises:
        Unmeasurable: no package, driver or GPU, or the GPU does not count.
    """
    return [NvmlMeter(*open_nvml())]


def open_nvml() -> tuple[Any, Any]:
    """The module, ready to be asked, and the handle of the GPU that our runners use.

    Raises:
        Unmeasurable: no package, driver or GPU.
    """
    # Not by number: CUDA and NVML count GPUs in different orders.
    bus_id = pci_bus_id()
    if bus_id is None:
        raise Unmeasurable("no energy of a GPU: no NVIDIA GPU")
    try:
        nvml: Any = import_module("pynvml")
    except ImportError as error:
        raise Unmeasurable(
            f"no energy of the GPU: nvidia-ml-py can't be imported ({error}): pip install nvidia-ml-py"
        ) from error
    try:
        nvml.nvmlInit()
        return nvml, nvml.nvmlDeviceGetHandleByPciBusId(bus_id)
    except nvml.NVMLError as error:
        raise Unmeasurable(f"no energy of the GPU: NVML says {error}") from error


def _throttled(reasons: int) -> list[str]:
    return [word for bit, word in _THROTTLED.items() if reasons & bit]
