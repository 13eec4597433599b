"""Finds an NVIDIA GPU without creating a CUDA context: through the driver library alone."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """name: e.g. `NVIDIA GeForce RTX 4070`. compute_capability: e.g. `8.9`. driver_cuda: newest CUDA it runs."""

    name: str
    compute_capability: str
    driver_cuda: str

    @property
    def architecture(self) -> str:
        """As engines are named after it: `sm_89`."""
        return f"sm_{self.compute_capability.replace('.', '')}"


def find_gpu() -> Gpu | None:
    """The first GPU the CUDA driver sees, or the one that the variable CUDA_DEVICE names; None without one."""
    found = _chosen_device()
    if found is None:
        return None
    cuda, device = found
    name = ctypes.create_string_buffer(128)
    cuda.cuDeviceGetName(name, len(name), device)
    driver = ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(driver))
    # Attributes 75 and 76 are COMPUTE_CAPABILITY_MAJOR and _MINOR in CUDA's CUdevice_attribute.
    capability = [_attribute(cuda, number, device) for number in (75, 76)]
    return Gpu(
        name=name.value.decode(errors="replace"),
        compute_capability=f"{capability[0]}.{capability[1]}",
        driver_cuda=f"{driver.value // 1000}.{driver.value % 1000 // 10}",
    )


def pci_bus_id() -> str | None:
    """Where that GPU is plugged in, e.g. `0000:01:00.0`; None without one, or where the driver does not say."""
    found = _chosen_device()
    if found is None:
        return None
    cuda, device = found
    text = ctypes.create_string_buffer(32)
    return text.value.decode() if cuda.cuDeviceGetPCIBusId(text, len(text), device) == 0 else None


def _chosen_device() -> tuple[ctypes.CDLL, ctypes.c_int] | None:
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    count, device = ctypes.c_int(), ctypes.c_int()
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return None
    # The variable is pycuda's: this is the GPU that our runners use.
    number = os.environ.get("CUDA_DEVICE", "0")
    if cuda.cuDeviceGet(ctypes.byref(device), int(number) if number.isdecimal() else 0) != 0:
        return None
    return cuda, device


def _attribute(cuda: ctypes.CDLL, number: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    cuda.cuDeviceGetAttribute(ctypes.byref(value), number, device)
    return value.value
