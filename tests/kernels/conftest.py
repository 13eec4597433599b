"""Builds the kernels for the CPU once and finds the photographs, so that parity with OpenCV is tested without a GPU."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from host_kernels import HostKernels

from ssr_kernels.staging import Image

ROOT = Path(__file__).parents[2]
HOST = Path(__file__).parent / "host"
KERNELS = ROOT / "kernels" / "ssr_kernels"


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> HostKernels:
    """The kernels built by g++; the compiler must not fuse multiply-adds either (see pixel.cuh)."""
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-shared", "-fPIC"]
    subprocess.run(
        ["g++", *flags, f"-I{KERNELS}", f"-I{HOST}", str(HOST / "kernels.cpp"), "-o", str(library)], check=True
    )
    return HostKernels(library)


@pytest.fixture(scope="session")
def photos() -> list[Image]:
    """Three of the demo's microscope images, uint8 [460, 700, 3] BGR."""
    paths = sorted((ROOT / "ssr_edge" / "demo" / "images").glob("*.jpg"))[:3]
    assert paths, "ssr_edge/demo/images holds no JPEG"
    return [np.asarray(cv2.imread(str(path)), np.uint8) for path in paths]
