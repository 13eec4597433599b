"""Tissue segmentation on drawn thumbnails, whose ground truth is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ssr_edge.images.preprocess import Image, resize
from ssr_edge.slides.tissue import find_tissue

PINK = (200, 140, 220)


def glass(seed: int = 0) -> Image:
    """Bare glass, 300x400 pixels, with a scanner's noise."""
    noise = np.random.default_rng(seed).normal(240, 2, (300, 400, 3))
    return np.clip(noise, 0, 255).astype(np.uint8)


def test_bare_glass_has_none() -> None:
    assert not find_tissue(glass(), 100).any()
    assert not find_tissue(np.full((300, 400, 3), 255, np.uint8), 100).any()


def test_the_outline_is_found_to_a_pixel_or_two() -> None:
    image, truth = glass(), np.zeros((300, 400), np.uint8)
    cv2.ellipse(image, (200, 150), (120, 80), 20, 0, 360, PINK, cv2.FILLED)
    cv2.ellipse(truth, (200, 150), (120, 80), 20, 0, 360, 1, cv2.FILLED)
    found = find_tissue(image, 100)
    assert (found ^ truth.astype(bool)).sum() < 0.02 * truth.sum()


def test_specks_go_and_small_holes_close_but_large_ones_stay() -> None:
    image = glass()
    cv2.rectangle(image, (100, 50), (299, 249), PINK, cv2.FILLED)
    cv2.rectangle(image, (120, 70), (139, 89), (240, 240, 240), cv2.FILLED)  # 400 pixels
    cv2.rectangle(image, (180, 120), (239, 179), (240, 240, 240), cv2.FILLED)  # 3600
    cv2.rectangle(image, (20, 20), (34, 34), PINK, cv2.FILLED)  # 225
    found = find_tissue(image, 1000)
    assert found[80, 130] and not found[150, 210] and not found[27, 27]
    assert found.sum() == pytest.approx(200 * 200 - 3600, rel=0.02)


def test_a_slide_full_of_tissue_is_not_split_by_its_dyes(stained: list[Image]) -> None:
    for image in stained:
        assert find_tissue(resize(image, 100), 2500).mean() > 0.9
