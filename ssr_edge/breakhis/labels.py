"""Finds the true classes of images, in an index.csv or in BreaKHis file names, so that an engine can be evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssr_edge.breakhis.index import INDEX, read_index
from ssr_edge.breakhis.names import CLASSES, parse_name


@dataclass(frozen=True)
class ImagesWithTruth:
    """Images to evaluate an engine on. truth: class number of each path (position in CLASSES), None if unknown.

    left_out: number of images of another magnification, which are not in `paths`.
    """

    paths: list[Path]
    truth: list[int | None]
    left_out: int

    @property
    def labeled(self) -> bool:
        """Whether any image has a label."""
        return any(target is not None for target in self.truth)


def label_images(paths: Sequence[Path], folder: Path, magnification: int | None) -> ImagesWithTruth:
    """Labels image files by `folder`/index.csv, or by their BreaKHis names if the index does not list them.

    magnification: keeps only images of this magnification (40, 100, 200 or 400) or of an unknown one; None keeps all.
    If no image has the right magnification, all are kept without labels, because the network was not trained for them.

    Raises:
        DataError: the index.csv has no `class` column, no path column or an unknown class.
    """
    index = _read_labels(folder / INDEX)
    found = [index.get(path.resolve()) or _from_name(path) for path in paths]
    kept = [
        (path, target)
        for path, (target, actual) in zip(paths, found, strict=True)
        if magnification is None or actual in (None, magnification)
    ]
    if not kept:
        return ImagesWithTruth(list(paths), [None] * len(paths), 0)
    return ImagesWithTruth([path for path, _ in kept], [target for _, target in kept], len(paths) - len(kept))


def _from_name(path: Path) -> tuple[int | None, int | None]:
    name = parse_name(path)
    return (None, None) if name is None else (CLASSES.index(name.label), name.magnification)


def _read_labels(index: Path) -> dict[Path, tuple[int | None, int | None]]:
    """Path -> class number and magnification; empty if there is no index."""
    if not index.is_file():
        return {}
    # A row may name several copies of its image: all of them get its label.
    return {
        path.resolve(): (CLASSES.index(row.label), row.magnification) for row in read_index(index) for path in row.paths
    }
