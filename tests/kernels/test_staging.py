"""Layout of a batch: it matches what the kernel reads, and errors give the number of an unsupported image."""

from __future__ import annotations

import numpy as np
import pytest

from ssr_kernels.errors import UnsupportedImage
from ssr_kernels.staging import IMAGE, Image, pack, plan, rows
from tests.doubles.host_kernels import HostKernels, noise


def test_descriptor_is_the_kernels(host: HostKernels) -> None:
    assert host.constant("image_bytes") == IMAGE.itemsize == 24


def test_places() -> None:
    table, size = plan([noise(2, 3), noise(5, 4)])
    assert table.tolist() == [(48, 16, 3, 2), (80, 16, 4, 5)]
    assert size == 80 + 80


def test_packed_images_come_back_and_resize_alike(host: HostKernels) -> None:
    images = [noise(31, 45), noise(8, 200)[:, ::-1], noise(90, 60)[::2]]
    table, size = plan(images)
    block = np.full(size, 255, np.uint8)
    pack(images, table, block, block.ctypes.data)
    for image, place in zip(images, table, strict=True):
        np.testing.assert_array_equal(rows(block, place), image)
    out = np.zeros((3, 16, 16, 3), np.uint8)
    host.launch("resize_area", (1, 2, 3), (96, 1, 1), "PPii", (block.ctypes.data, out.ctypes.data, 16, 16))
    np.testing.assert_array_equal(out, host.resize([np.ascontiguousarray(image) for image in images], (16, 16)))


@pytest.mark.parametrize(
    "image",
    [
        noise(4, 4).astype(np.float32),
        noise(4, 4)[..., 0],
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.broadcast_to(np.uint8(0), (1, (1 << 20) + 1, 3)),
    ],
    ids=["float", "gray", "alpha", "empty", "too-wide"],
)
def test_refused(image: Image) -> None:
    with pytest.raises(UnsupportedImage) as refused:
        plan([noise(2, 2), image])
    assert "image 1 " in refused.value.found
    assert "uint8" in refused.value.expected
