from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.images.preprocess import decode
from ssr_edge.inference.prediction import Prediction
from ssr_edge.overlay.draw import DISCLAIMER, draw

# height, width
SIZES = [(460, 700), (1080, 1920), (224, 224), (2160, 3840)]


def prediction(label: str = "PC", flags: tuple[str, ...] = ("low-confidence", "upscaled")) -> Prediction:
    return Prediction(
        source="x",
        frame=0,
        label=label,
        confidence=0.47,
        malignant_probability=0.9,
        flags=flags,
        probabilities=np.full(8, 1 / 8, np.float32),
        latency_ms=12345.6,
    )


@pytest.mark.parametrize(("size", "gray"), [*product([*SIZES, (64, 64), (20, 3000), (3000, 20)], [0, 128, 255])])
def test_letters_are_seen_on_every_gray_and_none_is_cut_off(size: tuple[int, int], gray: int) -> None:
    image = np.full((*size, 3), gray, np.uint8)
    draw(image, prediction(), fps=123.4)
    changed = (image != gray).any(axis=2)
    assert changed.any() and changed.mean() < 0.75
    if min(size) >= 64:
        rim = np.concatenate([changed[0], changed[-1], changed[:, 0], changed[:, -1]])
        assert not rim.any()
    if size in SIZES:
        # White letters with a black outline on any background.
        assert image.min() <= 20 and image.max() >= 235


@pytest.mark.parametrize("size", SIZES)
def test_every_text_fits_into_the_width(size: tuple[int, int]) -> None:
    for label in CLASSES:
        image = np.full((*size, 3), 255, np.uint8)
        draw(image, prediction(label), fps=None)
        columns = (image != 255).any(axis=(0, 2))
        assert not columns[-2:].any()


def test_the_middle_of_the_image_is_left_alone(demo_images: list[Path]) -> None:
    image = decode(demo_images[0])
    drawn = image.copy()
    draw(drawn, prediction(), fps=30)
    height = image.shape[0]
    np.testing.assert_array_equal(drawn[height // 5 : -height // 10], image[height // 5 : -height // 10])


def test_the_disclaimer_stands_at_the_foot_of_every_image() -> None:
    image = np.zeros((460, 700, 3), np.uint8)
    draw(image, prediction(flags=()))
    assert "Research use only" in DISCLAIMER and image[-40:].any()


def test_speed_is_drawn_only_when_it_is_known() -> None:
    without, with_speed = np.zeros((460, 700, 3), np.uint8), np.zeros((460, 700, 3), np.uint8)
    draw(without, prediction(flags=()))
    draw(with_speed, prediction(flags=()), fps=30)
    assert (with_speed != without).any(axis=(1, 2)).sum() in range(8, 40)
