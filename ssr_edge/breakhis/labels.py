"""Finds the true class of image files, so that an engine can be judged: from an index.csv or from BreaKHis's names."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssr_edge.breakhis.names import CLASSES, parse_name
from ssr_edge.common.errors import DataError

INDEX = "index.csv"
# Columns of an index.csv that may hold an image's path below the folder.
_PATH_COLUMNS = ("path", "jpeg", "original", "file")


@dataclass(frozen=True)
class ImagesWithTruth:
    """Images to judge an engine on. truth: position in CLASSES of each path's class, None where nothing says it.

    left_out: images of another magnification, which are not in `paths`.
    """

    paths: list[Path]
    truth: list[int | None]
    left_out: int

    @property
    def labeled(self) -> bool:
        """Whether any image has a label."""
        return any(target is not None for target in self.truth)


def label_images(paths: Sequence[Path], folder: Path, magnification: int | None) -> ImagesWithTruth:
    """Labels image files: by `folder`/index.csv where it lists them, else by their BreaKHis names.

    magnification: the only one to keep, as 40, 100, 200 or 400, or None for all; an image that does not say its
    magnification is kept. When no image is of the right one, all are kept, without labels: they would judge the
    network on what it was not made for.

    Raises:
        DataError: the index.csv has no `class` column, no path column or an unknown class.
    """
    index = _read_index(folder / INDEX)
    found = [index.get(path.resolve()) or _from_name(path) for path in paths]
    kept = [
        (path, target)
        for path, (target, seen) in zip(paths, found, strict=True)
        if magnification is None or seen in (None, magnification)
    ]
    if not kept:
        return ImagesWithTruth(list(paths), [None] * len(paths), 0)
    return ImagesWithTruth([path for path, _ in kept], [target for _, target in kept], len(paths) - len(kept))


def _from_name(path: Path) -> tuple[int | None, int | None]:
    name = parse_name(path)
    return (None, None) if name is None else (CLASSES.index(name.label), name.magnification)


def _read_index(index: Path) -> dict[Path, tuple[int | None, int | None]]:
    """Path -> class number and magnification; empty where there is no index."""
    if not index.is_file():
        return {}
    try:
        with index.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets put a byte order mark in front
            rows = csv.DictReader(file)
            columns = [column for column in _PATH_COLUMNS if column in (rows.fieldnames or [])]
            if not columns or "class" not in (rows.fieldnames or []):
                raise _unusable(f"{index} has the columns {', '.join(rows.fieldnames or []) or 'none'}")
            entries: dict[Path, tuple[int | None, int | None]] = {}
            for line, row in enumerate(rows, start=2):
                if row["class"] not in CLASSES:
                    raise _unusable(f"{index} line {line} has the class {row['class']!r}")
                magnification = (row.get("magnification") or "").removesuffix("X")
                entry = (CLASSES.index(row["class"]), int(magnification) if magnification.isdecimal() else None)
                # A row may name several copies of its image: each of them has its label.
                entries.update({(index.parent / row[column]).resolve(): entry for column in columns if row[column]})
            return entries
    except (csv.Error, ValueError) as error:  # not UTF-8, or a path with a zero byte
        raise _unusable(f"{index} is no CSV file in UTF-8: {error}") from error


def _unusable(found: str) -> DataError:
    return DataError(
        found,
        expected=f"the columns class (one of {', '.join(CLASSES)}) and path, and if known magnification",
        next_step=f"correct {INDEX}, or move it away: BreaKHis file names say their class themselves",
    )
