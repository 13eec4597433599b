"""Choice of calibration images: all classes, no duplicates, the same images for the same seed."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import cv2

from ssr_edge.breakhis.names import parse_name
from ssr_edge.images.preprocess import decode
from ssr_export.image_sets import choose_images


def label(path: Path) -> str:
    name = parse_name(path)
    assert name is not None
    return name.label


def labeled(paths: list[Path]) -> list[tuple[str, Path]]:
    return [(label(path), path) for path in paths]


def test_rare_classes_come_before_common_ones_are_filled_up(
    demo_images: list[Path], calibration_images: list[Path]
) -> None:
    # LC has three images, most others six.
    images = calibration_images + demo_images
    first = choose_images(labeled(images), seed=0, count=24)
    assert len(Counter(map(label, first))) == 8
    assert set(Counter(map(label, first)).values()) == {3}
    assert set(choose_images(labeled(images), seed=0, count=100)) == set(images)


def test_the_seed_decides(calibration_images: list[Path]) -> None:
    draws = [choose_images(labeled(calibration_images), seed, 8) for seed in range(5)]
    assert choose_images(labeled(calibration_images), 3, 8) == draws[3]
    assert len({tuple(draw) for draw in draws}) > 1


def test_the_same_pixels_count_once_whatever_their_file(calibration_images: list[Path], tmp_path: Path) -> None:
    images = calibration_images[:6]
    copies = [tmp_path / f"copy-{path.name}" for path in images]
    for path, copy in zip(images, copies, strict=True):
        shutil.copy(path, copy)
    again = tmp_path / f"{images[0].stem}.png"
    cv2.imwrite(str(again), decode(images[0]))
    chosen = choose_images([("", path) for path in images + copies + [again]], seed=0, count=13)
    assert len(chosen) == 6
    assert len({decode(path).tobytes() for path in chosen}) == 6


def test_duplicates_do_not_take_the_place_of_others(calibration_images: list[Path]) -> None:
    repeated = [("", calibration_images[0])] * 30 + [("", path) for path in calibration_images[:6]]
    assert set(choose_images(repeated, seed=0, count=6)) == set(calibration_images[:6])


def test_an_unreadable_image_takes_no_place(calibration_images: list[Path], tmp_path: Path) -> None:
    broken = [tmp_path / f"{number}.png" for number in range(8)]
    for path in broken:
        path.write_bytes(b"no image")
    chosen = choose_images([("", path) for path in broken + calibration_images[:4]], seed=0, count=4)
    assert set(chosen) == set(calibration_images[:4])
    # If all are unreadable, calibration reports it.
    assert len(choose_images([("", path) for path in broken], seed=0, count=4)) == 4
