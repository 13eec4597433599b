"""Builds the kernel for the CPU and runs it through ctypes on numpy arrays: no GPU needed."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssr_kernels.compile import HERE
from ssr_kernels.launch import ROWS, THREADS, TILE
from ssr_kernels.staging import IMAGE, Image


class Dim(ctypes.Structure):
    _fields_ = [("x", ctypes.c_uint), ("y", ctypes.c_uint), ("z", ctypes.c_uint)]


HOST = Path(__file__).parent / "host"
CODES = {"P": ctypes.c_void_p, "i": ctypes.c_int}


def build(folder: Path) -> HostKernels:
    """Compiles the .cu file into `folder` with g++, which must not fuse multiply-adds either (see resize_area.cu)."""
    library = folder / "kernels.so"
    flags = [
        "-std=c++17",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unknown-pragmas",
        "-ffp-contract=off",
        "-shared",
        "-fPIC",
    ]
    subprocess.run(["g++", *flags, f"-I{HERE}", f"-I{HOST}", str(HOST / "kernels.cpp"), "-o", str(library)], check=True)
    return HostKernels(library)


class HostKernels:
    """The kernel of the .cu file, run on the CPU on numpy arrays."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))

    def constant(self, name: str) -> int:
        return ctypes.c_int.in_dll(self._library, name).value

    def launch(
        self,
        name: str,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        codes: str,
        arguments: Sequence[Any],
        backwards: bool = False,
    ) -> None:
        function = getattr(self._library, f"{name}_on_host")
        function.restype = ctypes.c_bool
        values = [CODES[code](value) for code, value in zip(codes, arguments, strict=True)]
        whole = function(ctypes.byref(Dim(*grid)), ctypes.byref(Dim(*block)), ctypes.c_bool(backwards), *values)
        assert whole, f"{name}: some threads of a block ended while others waited at a barrier"

    def resize(
        self, images: Sequence[Image], size: tuple[int, int] = (224, 224), backwards: bool = False
    ) -> npt.NDArray[np.uint8]:
        """Resizes images, uint8 [h, w, 3] with any row stride, to uint8 [n, *size, 3]."""
        table = np.zeros(len(images), IMAGE)
        for entry, image in zip(table, images, strict=True):
            entry["pixels"], entry["pitch"] = image.ctypes.data, image.strides[0]
            entry["height"], entry["width"] = image.shape[:2]
        height, width = size
        out = np.zeros((len(images), height, width, 3), np.uint8)
        grid = (-(-width // TILE), -(-height // ROWS), len(images))
        arguments = (table.ctypes.data, out.ctypes.data, width, height)
        self.launch("resize_area", grid, (THREADS, 1, 1), "PPii", arguments, backwards)
        return out


def noise(height: int, width: int, seed: int = 0) -> Image:
    """uint8 [height, width, 3] of independent values: the worst case for a resize."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def distance(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Elementwise absolute difference of two uint8 arrays, in gray levels."""
    return np.abs(first.astype(np.int64) - second.astype(np.int64))
