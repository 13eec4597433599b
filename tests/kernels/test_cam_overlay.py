"""The overlay kernel against resize, LUT and addWeighted of OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ssr_kernels.staging import Image
from tests.doubles.host_kernels import HostKernels, distance, noise

Floats = npt.NDArray[np.float32]
LIMITS = (-1.5, 1.75)


def color_map(code: int) -> Image:
    """One of OpenCV's color maps as uint8 [256, 3], BGR."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    return np.ascontiguousarray(cv2.applyColorMap(ramp, code).reshape(256, 3), np.uint8)


def activations(height: int, width: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((height, width)).astype(np.float32)


def opencv(image: Image, cam: Floats, colors: Image, alpha: float) -> Image:
    low, high = LIMITS
    enlarged = cv2.resize(cam, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    levels = np.rint(np.clip((enlarged - low) / (high - low) * 255, 0, 255)).astype(np.uint8)
    colored = cv2.LUT(cv2.merge([levels] * 3), colors.reshape(256, 1, 3))
    return np.asarray(cv2.addWeighted(image, 1 - alpha, colored, alpha, 0), np.uint8)


def drawn(host: HostKernels, image: Image, cam: Floats, colors: Image, alpha: float) -> Image:
    out = np.zeros_like(image)
    host.overlay([image], [out], cam[None], LIMITS, colors, alpha)
    return out


@pytest.mark.parametrize(
    ("size", "cells"),
    [
        ((460, 700), (7, 7)),
        ((224, 224), (7, 7)),
        ((333, 77), (14, 9)),
        ((1000, 1300), (7, 7)),
        ((30, 30), (1, 1)),
        ((1, 1), (7, 7)),
        ((5, 5), (9, 9)),
    ],
)
def test_noise_within_one_level(host: HostKernels, size: tuple[int, int], cells: tuple[int, int]) -> None:
    # Neighbors in this map are at most 3 levels apart: at this alpha either side of a border is within one level.
    colors, alpha = color_map(cv2.COLORMAP_VIRIDIS), 0.33
    image, cam = noise(*size), activations(*cells)
    assert distance(drawn(host, image, cam, colors, alpha), opencv(image, cam, colors, alpha)).max() <= 1


def test_steep_colors_differ_only_on_borders(host: HostKernels, photos: list[Image]) -> None:
    colors, alpha = color_map(cv2.COLORMAP_JET), 0.4
    cams = [activations(7, 7, seed) for seed in range(len(photos))]
    apart = np.stack(
        [
            distance(drawn(host, photo, cam, colors, alpha), opencv(photo, cam, colors, alpha))
            for photo, cam in zip(photos, cams, strict=True)
        ]
    )
    assert (apart > 1).mean() < 1e-5
    assert apart.max() <= 3  # the map's steepest step, 5 levels, at alpha 0.4, rounded


def test_values_outside_the_limits_take_the_end_colors(host: HostKernels) -> None:
    colors = color_map(cv2.COLORMAP_JET)
    cam = np.array([[-100, 100], [np.nan, 100]], np.float32)
    out = drawn(host, noise(2, 2), cam, colors, 1.0)
    np.testing.assert_array_equal(out, colors[[[0, 255], [0, 255]]])


def test_limits_without_range_take_the_first_color(host: HostKernels) -> None:
    colors, image, out = color_map(cv2.COLORMAP_JET), noise(9, 9), np.zeros((9, 9, 3), np.uint8)
    host.overlay([image], [out], activations(7, 7)[None], (0.5, 0.5), colors, 1.0)
    assert (out == colors[0]).all()


def test_alpha_zero_leaves_the_image(host: HostKernels, photos: list[Image]) -> None:
    out = drawn(host, photos[0], activations(7, 7), color_map(cv2.COLORMAP_JET), 0.0)
    np.testing.assert_array_equal(out, photos[0])


def test_batch_in_place_with_padded_rows(host: HostKernels) -> None:
    colors, cams = color_map(cv2.COLORMAP_VIRIDIS), np.stack([activations(7, 7), activations(7, 7, 1)])
    blocks = [np.full((40, 60, 3), 77, np.uint8), np.full((13, 90, 3), 77, np.uint8)]
    views = [block[:, :-5] for block in blocks]
    for view in views:
        view[...] = noise(*view.shape[:2])
    expected = [
        drawn(host, np.ascontiguousarray(view), cam, colors, 0.5) for view, cam in zip(views, cams, strict=True)
    ]
    host.overlay(views, views, cams, LIMITS, colors, 0.5)
    for view, block, want in zip(views, blocks, expected, strict=True):
        np.testing.assert_array_equal(view, want)
        assert (block[:, -5:] == 77).all()
