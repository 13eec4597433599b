"""The resize kernel compared with OpenCV's INTER_AREA: all scalings, row strides and batches."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_kernels.staging import Image
from tests.doubles.host_kernels import HostKernels, distance, noise


def opencv(image: Image, size: tuple[int, int] = (224, 224)) -> Image:
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize(
    ("height", "width"),
    [
        pytest.param(460, 700, id="BreaKHis"),
        pytest.param(456, 700, id="BreaKHis-odd"),
        pytest.param(3000, 4000, id="several-chunks"),
        pytest.param(448, 448, id="halved"),
        pytest.param(672, 896, id="whole-factors"),
        pytest.param(225, 223, id="one-up-one-down"),
        pytest.param(225, 225, id="barely-down"),
        pytest.param(224, 224, id="same"),
        pytest.param(224, 700, id="one-axis-same"),
        pytest.param(100, 400, id="mixed"),
        pytest.param(400, 100, id="mixed-other-way"),
        pytest.param(30, 30, id="up"),
        pytest.param(36, 58, id="up-where-opencv-rounds-by-a-pixel"),
        pytest.param(7, 5, id="tiny"),
        pytest.param(1, 5000, id="one-row"),
        pytest.param(1, 1, id="one-pixel"),
    ],
)
def test_noise_within_one_level(host: HostKernels, height: int, width: int) -> None:
    image = noise(height, width)
    assert distance(host.resize([image])[0], opencv(image)).max() <= 1


def test_photographs_equal_opencv(host: HostKernels, photos: list[Image]) -> None:
    apart = distance(host.resize(photos), np.stack([opencv(photo) for photo in photos]))
    assert apart.max() <= 1
    assert apart.mean() < 1e-3


@settings(max_examples=150, deadline=None)
@given(
    source=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 70)),
    seed=st.integers(0, 1000),
)
def test_any_size_to_any_size(host: HostKernels, source: tuple[int, int], size: tuple[int, int], seed: int) -> None:
    image = noise(*source, seed)
    assert distance(host.resize([image], size)[0], opencv(image, size)).max() <= 1


@pytest.mark.parametrize("start", [0, 1, 4])
@pytest.mark.parametrize("pitch", [904, 905, 1024])
def test_padding_and_alignment_change_nothing(host: HostKernels, start: int, pitch: int) -> None:
    image = noise(310, 301)
    block = np.full(16 + 310 * pitch, 255, np.uint8)
    # A buffer on a multiple of 16, so that `start` alone decides whether rows are aligned.
    block = block[-block.ctypes.data % 16 :]
    padded = np.lib.stride_tricks.as_strided(block[start:], image.shape, (pitch, 3, 1))
    padded[...] = image
    np.testing.assert_array_equal(host.resize([padded]), host.resize([image]))


def test_batch_of_different_sizes_is_each_alone(host: HostKernels, photos: list[Image]) -> None:
    images = [noise(30, 500), photos[0], noise(1, 1), noise(333, 334)]
    together = host.resize(images, (50, 70))
    for image, resized in zip(images, together, strict=True):
        np.testing.assert_array_equal(resized, host.resize([image], (50, 70))[0])


def test_order_of_threads_changes_nothing(host: HostKernels) -> None:
    images = [noise(300, 2500), noise(30, 31)]
    np.testing.assert_array_equal(host.resize(images, (20, 40), backwards=True), host.resize(images, (20, 40)))
