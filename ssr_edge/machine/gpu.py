"""Finds an NVIDIA GPU through the driver library, without creating a CUDA context."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU. compute_capability: e.g. `8.9`. driver_cuda: newest CUDA version the driver supports."""

    name: str
    compute_capability: str
    driver_cuda: str

    @property
    def architecture(self) -> str:
        """Architecture as used in engine names: `sm_89`."""
        return f"sm_{self.compute_capability.replace('.', '')}"


def find_gpu() -> Gpu | None:
    """The GPU selected by the variable CUDA_DEVICE, otherwise the first one; None without a GPU."""
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
    """PCI bus id of that GPU, e.g. `0000:01:00.0`; None without a GPU, or if the driver does not report it."""
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
    # pycuda's variable: this is the GPU that our runners use.
    number = os.environ.get("CUDA_DEVICE", "0")
    if cuda.cuDeviceGet(ctypes.byref(device), int(number) if number.isdecimal() else 0) != 0:
        return None
    return cuda, device


def _attribute(cuda: ctypes.CDLL, number: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    cuda.cuDeviceGetAttribute(ctypes.byref(value), number, device)
    return value.value
