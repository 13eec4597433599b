"""Photographs and a test GPU for the kernels' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from ssr_kernels.staging import Image
from tests.doubles.host_kernels import HostKernels
from tests.doubles.machine import Machine
from tests.doubles.pycuda import make_modules

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def photos() -> list[Image]:
    """Three of the demo's microscope images, uint8 [460, 700, 3] BGR."""
    paths = sorted((ROOT / "ssr_edge" / "demo" / "images").glob("*.jpg"))[:3]
    assert paths, "ssr_edge/demo/images holds no JPEG"
    return [np.asarray(cv2.imread(str(path)), np.uint8) for path in paths]


@pytest.fixture
def gpu(host: HostKernels) -> Iterator[Any]:
    """A GPU double that runs the kernel on the CPU: `driver`, `machine`. Tests must free everything."""
    machine = Machine()
    machine.kernels = host
    yield SimpleNamespace(driver=make_modules(machine)["pycuda.driver"], machine=machine)
    machine.demand_clean()
