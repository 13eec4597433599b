"""GPU energy (from Volta on), clocks, temperature and power, through NVML.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html; package nvidia-ml-py, module pynvml.
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
    """State of the GPU at one moment; None for values that the driver does not report.

    sm_clock_mhz: clock of the multiprocessors. throttled: reasons for running below the maximum clocks.
    reason: why the whole state is unknown.
    """

    sm_clock_mhz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    throttled: list[str] = field(default_factory=list)
    reason: str | None = None


def gpu_state() -> GpuState:
    """State of the GPU that our runners use."""
    try:
        nvml, handle = open_nvml()
    except Unmeasurable as error:
        return GpuState(reason=str(error))

    def ask(call: Callable[[], Any]) -> Any:
        # Queried one by one: the drivers of Jetsons and laptops report only some values.
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
    """The GPU's energy counter. The driver updates it in steps, so a single short turn is inaccurate."""

    name = "gpu board"
    what = "the whole graphics card including its memory, power losses and other programs"

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
            raise Unmeasurable(f"GPU energy not available: NVML error: {error}") from error


def find() -> list[NvmlMeter]:
    """Finds the meter of the GPU that our runners use.

    Raises:
        Unmeasurable: no package, driver or GPU, or the GPU has no energy counter.
    """
    return [NvmlMeter(*open_nvml())]


def open_nvml() -> tuple[Any, Any]:
    """The initialized NVML module and the handle of the GPU that our runners use.

    Raises:
        Unmeasurable: no package, driver or GPU.
    """
    # Not by index: CUDA and NVML number GPUs differently.
    bus_id = pci_bus_id()
    if bus_id is None:
        raise Unmeasurable("GPU energy not available: no NVIDIA GPU")
    try:
        nvml: Any = import_module("pynvml")
    except ImportError as error:
        raise Unmeasurable(
            f"GPU energy not available: nvidia-ml-py can't be imported ({error}): pip install nvidia-ml-py"
        ) from error
    try:
        nvml.nvmlInit()
        return nvml, nvml.nvmlDeviceGetHandleByPciBusId(bus_id)
    except nvml.NVMLError as error:
        raise Unmeasurable(f"GPU energy not available: NVML error: {error}") from error


def _throttled(reasons: int) -> list[str]:
    return [text for bit, text in _THROTTLED.items() if reasons & bit]
