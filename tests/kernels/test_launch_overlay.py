"""The overlay's launcher against a stand-in for pycuda that runs the real kernel on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ssr_kernels import launch_overlay
from ssr_kernels.launch_overlay import OVERLAY, GpuCamOverlay
from tests.doubles.host_kernels import HostKernels, noise


def test_descriptor_is_the_kernels(host: HostKernels) -> None:
    assert host.constant("overlay_bytes") == OVERLAY.itemsize == 40


def test_draws_a_batch(gpu: Any, host: HostKernels) -> None:
    random = np.random.default_rng(0)
    colors = random.integers(0, 256, (256, 3), dtype=np.uint8)
    overlay = GpuCamOverlay(gpu.driver, gpu.driver.Stream(), colors, 0.25)
    for count in (1, 3):
        images = [noise(30 + number, 41, number) for number in range(count)]
        originals = [image.copy() for image in images]
        cams = random.standard_normal((count, 7, 7)).astype(np.float32)
        low, high = np.full(count, -2, np.float32), np.full(count, 2, np.float32)
        drawn = overlay.draw(images, cams, low, high)
        expected = [np.zeros_like(image) for image in images]
        host.overlay(images, expected, cams, (-2, 2), colors, 0.25)
        for number in range(count):
            np.testing.assert_array_equal(drawn[number], expected[number])
            np.testing.assert_array_equal(images[number], originals[number])


def test_images_higher_than_a_grid_are_drawn_whole(
    gpu: Any, host: HostKernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    image, cam = noise(75, 9), np.random.default_rng(1).standard_normal((1, 7, 7)).astype(np.float32)
    expected = np.zeros_like(image)
    host.overlay([image], [expected], cam, (-2, 2), colors, 0.25)
    monkeypatch.setattr(launch_overlay, "MOST_BLOCKS", 3)
    limits = np.full(1, -2, np.float32), np.full(1, 2, np.float32)
    overlay = GpuCamOverlay(gpu.driver, gpu.driver.Stream(), colors, 0.25)
    np.testing.assert_array_equal(overlay.draw([image], cam, *limits)[0], expected)
