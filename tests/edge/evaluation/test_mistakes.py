from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np

from ssr_edge.breakhis.labels import ImagesWithTruth
from ssr_edge.evaluation.accuracy import Predicted
from ssr_edge.evaluation.mistakes import worst_mistakes


def _decoded(uri: str) -> np.ndarray:
    kind, data = uri.split(",")
    assert kind == "data:image/jpeg;base64"
    image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def test_the_surest_mistakes_come_first(demo_images: list[Path], tmp_path: Path) -> None:
    paths = [*demo_images[:5], tmp_path / "gone.jpg", demo_images[5]]
    images = ImagesWithTruth(paths, [0, 1, 2, None, 4, 5, 6], 0)
    #                right, wrong, wrong, unknown, unreadable, wrong but gone since, wrong
    predicted = Predicted([0, 0, 3, 7, None, 1, 4], [0.99, 0.4, 0.9, 0.95, None, 0.97, 0.6])
    found = worst_mistakes(images, predicted, most=2)
    assert [(m.path, m.truth, m.label, m.confidence) for m in found] == [
        (paths[2], "PT", "TA", 0.9),
        (paths[6], "MC", "DC", 0.6),
    ]
    for mistake in found:
        assert (mistake.width, mistake.height) == (176, 116)
        small = _decoded(mistake.thumbnail)
        assert small.shape == (116, 176, 3)
        original = cv2.imread(str(mistake.path))
        assert original is not None
        assert np.abs(small.mean(axis=(0, 1)) - original.mean(axis=(0, 1))).max() < 3
        assert len(mistake.thumbnail) < 20_000
    assert len(worst_mistakes(images, predicted, most=9)) == 3


def test_a_small_image_is_not_blown_up_and_a_tower_not_left_tall(tmp_path: Path) -> None:
    sizes = {"small.png": (20, 30), "tower.png": (3000, 10)}
    for name, (height, width) in sizes.items():
        assert cv2.imwrite(str(tmp_path / name), np.zeros((height, width, 3), np.uint8))
    images = ImagesWithTruth([tmp_path / name for name in sizes], [0, 0], 0)
    found = worst_mistakes(images, Predicted([1, 1], [0.9, 0.8]), most=6)
    assert [(m.width, m.height) for m in found] == [(30, 20), (10, 176)]
