from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ssr_edge.images.preprocess import decode
from ssr_edge.overlay.cam import COLORS, OPACITY, draw_cam


def test_the_hottest_place_takes_the_last_color_and_the_coldest_the_first(demo_images: list[Path]) -> None:
    image = decode(demo_images[0])
    cam = np.zeros((7, 7), np.float32)
    cam[1, 5], cam[5, 1] = 3.0, -2.0
    drawn = draw_cam(image, cam)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    first, last = cv2.applyColorMap(np.array([[0, 255]], np.uint8), COLORS)[0].astype(float)
    height, width = image.shape[0] / 7, image.shape[1] / 7
    for (row, column), color in (((1, 5), last), ((5, 1), first)):
        y, x = round((row + 0.5) * height), round((column + 0.5) * width)
        expected = (1 - OPACITY) * image[y, x] + OPACITY * color
        assert np.abs(drawn[y, x] - expected).max() <= 6  # half a pixel from the peak


def test_a_map_without_contrast_is_one_color_and_the_image_stays(demo_images: list[Path]) -> None:
    image = decode(demo_images[1])
    before = image.copy()
    drawn = draw_cam(image, np.full((7, 7), 0.25, np.float32))
    np.testing.assert_array_equal(image, before)
    first = cv2.applyColorMap(np.zeros((1, 1), np.uint8), COLORS)[0, 0].astype(float)
    assert np.abs(drawn - ((1 - OPACITY) * image + OPACITY * first)).max() <= 1
