"""Finds the images to calibrate and gate a checkpoint with; training images are never used for the gate."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssr_edge.breakhis.names import parse_name
from ssr_edge.common.errors import DataError
from ssr_edge.images.preprocess import IMAGE_SUFFIXES, Image, load_first
from ssr_edge.machine.environment import usable_cores
from ssr_train.data.breakhis import pixel_digest, read

if TYPE_CHECKING:
    from ssr_train.training.checkpoint import CheckpointCard  # imports PyTorch; bundles are rebuilt without it

CALIBRATION_IMAGES = 128


@dataclass(frozen=True)
class ImageSets:
    """Image files. calibration: for INT8 ranges. held_out: for the gate, labeled if they have BreaKHis names."""

    calibration: list[Path]
    held_out: list[Path]


def find_image_sets(checkpoint: Path, card: CheckpointCard, folder: Path | None, seed: int = 0) -> ImageSets:
    """The images for a checkpoint, from the first of these that exists:

    1. `folder`: every fourth image is held out, the others calibrate;
    2. `calibration/` and `images/` next to the checkpoint, as in the demo;
    3. the data set that the checkpoint was trained on: training images calibrate, the others are held out.

    Raises:
        DataError: none of them exists.
    """
    neighbor = checkpoint.parent / "calibration"
    if folder is not None:
        files = image_files(folder)
        calibration = [path for number, path in enumerate(files) if number % 4] or files
        return ImageSets(choose_images([(_label(path), path) for path in calibration], seed), files[::4])
    if neighbor.is_dir():
        return ImageSets(image_files(neighbor), image_files(checkpoint.parent / "images"))
    if Path(card.data).is_dir():
        return image_sets_of_split(Path(card.data), card, seed)
    raise DataError(
        f"no images to calibrate {checkpoint.name} with: {card.data} is not on this machine",
        expected="a folder of microscope images like those to classify",
        next_step=f"ssr-edge build-engine {checkpoint} --calibration-images FOLDER",
    )


def image_sets_of_split(data: Path, card: CheckpointCard, seed: int = 0) -> ImageSets:
    """The images of a checkpoint in its data set: train calibrates, val and test are held out.

    Raises:
        DataError: there is no such folder, or no image of the card's magnification in it.
    """
    records = read(data, card.magnification)
    split = card.to_split()
    held_out = split.select(records, "val") + split.select(records, "test")
    training = [(record.label, record.path) for record in split.select(records, "train")]
    return ImageSets(choose_images(training, seed), [record.path for record in held_out])


def image_files(folder: Path) -> list[Path]:
    """All images in a folder and its subfolders, sorted.

    Raises:
        DataError: there are none.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise DataError(
            f"no images in {folder}",
            expected=", ".join(sorted(IMAGE_SUFFIXES)),
            next_step="ssr-edge build-engine --calibration-images FOLDER",
        )
    return files


def first_readable(paths: Sequence[Path], count: int) -> Image:
    """The first `count` readable images, or fewer if there are not as many: uint8 BGR [n, 224, 224, 3].

    Raises:
        DataError: none of them can be read.
    """
    images = load_first(paths, count)
    if not images:
        raise DataError(
            f"none of the {len(paths)} calibration images can be read",
            expected="at least one readable image; 64 or more from all classes give good ranges",
            next_step="ssr-edge build-engine --calibration-images FOLDER",
        )
    return np.stack(images)


def choose_images(labeled: Sequence[tuple[str, Path]], seed: int, count: int = CALIBRATION_IMAGES) -> list[Path]:
    """At most `count` paths, drawn with `seed`, one per label in turn so that rare classes are included.

    labeled: (label, path) pairs. Skips images with the same pixels as an earlier one; skips unreadable ones unless all
    are.
    """
    by_label: dict[str, list[Path]] = defaultdict(list)
    for label, path in labeled:
        by_label[label].append(path)
    generator = random.Random(seed)
    for paths in by_label.values():
        generator.shuffle(paths)
    turns = zip_longest(*by_label.values())
    in_turn = [path for turn in turns for path in turn if path is not None]
    return _distinct(in_turn, count) or in_turn[:count]


def _distinct(paths: list[Path], count: int) -> list[Path]:
    chosen: dict[str, Path] = {}
    with ThreadPoolExecutor(usable_cores()) as pool:
        # In chunks, so that a folder of 100,000 tiles is not decoded to choose 128.
        for start in range(0, len(paths), count):
            chunk = paths[start : start + count]
            for path, digest in zip(chunk, pool.map(pixel_digest, chunk), strict=True):
                if digest is not None:
                    chosen.setdefault(digest, path)
            if len(chosen) >= count:
                break
    return list(chosen.values())[:count]


def _label(path: Path) -> str:
    name = parse_name(path)
    return name.label if name else ""
