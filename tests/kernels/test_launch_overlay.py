"""The overlay's launcher against a stand-in for pycuda that runs the real kernel on the CPU."""

from __future__ import annotations

import numpy as np
import pycuda_double
from host_kernels import HostKernels, noise

from ssr_kernels.launch_overlay import OVERLAY, GpuCamOverlay


def test_descriptor_is_the_kernels(host: HostKernels) -> None:
    assert host.constant("overlay_bytes") == OVERLAY.itemsize == 40


def test_draws_a_batch(host: HostKernels) -> None:
    cuda = pycuda_double.driver(host)
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (256, 3), dtype=np.uint8)
    overlay = GpuCamOverlay(cuda, cuda.Stream(), colours, 0.25)
    for count in (1, 3):
        images = [noise(30 + number, 41, number) for number in range(count)]
        originals = [image.copy() for image in images]
        cams = random.standard_normal((count, 7, 7)).astype(np.float32)
        low, high = np.full(count, -2, np.float32), np.full(count, 2, np.float32)
        drawn = overlay.draw(images, cams, low, high)
        expected = [np.zeros_like(image) for image in images]
        host.overlay(images, expected, cams, (-2, 2), colours, 0.25)
        for number in range(count):
            np.testing.assert_array_equal(drawn[number], expected[number])
            np.testing.assert_array_equal(images[number], originals[number])
