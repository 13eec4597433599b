"""Builds the kernels for the CPU and runs them there through ctypes: tests need numpy arrays and no GPU."""

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
from ssr_kernels.launch_overlay import BLOCK, OVERLAY
from ssr_kernels.staging import IMAGE, Image


class Dim(ctypes.Structure):
    _fields_ = [("x", ctypes.c_uint), ("y", ctypes.c_uint), ("z", ctypes.c_uint)]


HOST = Path(__file__).parent / "host"
CODES = {"P": ctypes.c_void_p, "i": ctypes.c_int, "f": ctypes.c_float}


def build(folder: Path) -> HostKernels:
    """Compiles the .cu files into `folder` with g++, which must not fuse multiply-adds either (see pixel.cuh)."""
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
    """The kernels of the .cu files, run on the CPU over numpy arrays."""

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

    def overlay(
        self,
        images: Sequence[Image],
        outs: Sequence[Image],
        cams: npt.NDArray[np.float32],
        limits: tuple[float, float],
        colors: Image,
        alpha: float,
    ) -> None:
        """Draws cams, float32 [n, h, w], over images into outs, uint8 [h, w, 3] with the images' row strides."""
        table = np.zeros(len(images), OVERLAY)
        for entry, image, out in zip(table, images, outs, strict=True):
            entry["image"], entry["out"], entry["pitch"] = image.ctypes.data, out.ctypes.data, image.strides[0]
            entry["height"], entry["width"] = image.shape[:2]
            entry["low"], entry["high"] = limits
        widest, highest = table["width"].max(), table["height"].max()
        grid = (int(-(-widest // BLOCK[0])), int(-(-highest // BLOCK[1])), len(images))
        _, height, width = cams.shape
        arguments = (table.ctypes.data, cams.ctypes.data, width, height, colors.ctypes.data, alpha)
        self.launch("cam_overlay", grid, BLOCK, "PPiiPf", arguments)


def noise(height: int, width: int, seed: int = 0) -> Image:
    """uint8 [height, width, 3] of independent values: the hardest input for a resize."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def distance(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """How many gray levels two uint8 arrays are apart, value by value."""
    return np.abs(first.astype(np.int64) - second.astype(np.int64))
