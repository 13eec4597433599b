"""The resize kernel on a real GPU against OpenCV."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ssr_kernels.launch import GpuResizer

pytestmark = pytest.mark.gpu

SIZES = [
    (1, 1),
    (7, 5),
    (460, 700),
    (456, 700),
    (224, 224),
    (448, 448),
    (225, 223),
    (3000, 4000),
    (100, 400),
    (36, 58),
    (30, 30),
]


def noise(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def apart(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> int:
    return int(np.abs(first.astype(int) - second.astype(int)).max())


def test_resize_within_one_level(driver: Any) -> None:
    stream = driver.Stream()
    resizer, out = GpuResizer(driver, stream), driver.mem_alloc(len(SIZES) * 224 * 224 * 3)
    # Growing batches, so that buffers are replaced while work is queued; the last holds every size.
    for count in range(1, len(SIZES) + 1):
        images = [noise(*size) for size in SIZES[:count]]
        resizer.resize(images, int(out))
        resized = driver.pagelocked_empty((count, 224, 224, 3), np.uint8)
        driver.memcpy_dtoh_async(resized, out, stream)
        stream.synchronize()
        for image, got in zip(images, resized, strict=True):
            assert apart(got, cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)) <= 1, image.shape
