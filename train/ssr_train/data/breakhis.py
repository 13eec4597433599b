"""Reads BreaKHis from disk: the official tree, or a folder with an index.csv."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ssr_edge.breakhis.names import CLASSES, parse_name
from ssr_edge.breakhis.pixels import fingerprint
from ssr_edge.common.errors import DataError, InputError
from ssr_edge.images.preprocess import IMAGE_SUFFIXES, decode

INDEX = "index.csv"
# Columns of an index.csv that may hold an image's path below the folder, in order of preference.
_PATH_COLUMNS = ("path", "jpeg", "original", "file")


@dataclass(frozen=True)
class Record:
    """One labeled image. name: file name without suffix, unique in the data set. label: one of CLASSES."""

    name: str
    path: Path
    label: str
    patient: str
    magnification: int

    @property
    def target(self) -> int:
        """The label's position in CLASSES."""
        return CLASSES.index(self.label)


def read(root: Path, magnification: int | None = None) -> list[Record]:
    """Lists the images below `root`, sorted by name: by its index.csv if it has one, else by their BreaKHis names.

    magnification: 40, 100, 200 or 400; None takes all four.

    Raises:
        DataError: no folder, no image, or an index.csv whose rows contradict themselves.
    """
    if not root.is_dir():
        raise _unusable(f"{root} is not a folder")
    index = root / INDEX
    records = _from_index(index) if index.is_file() else _from_names(root)
    if magnification is not None:
        records = [record for record in records if record.magnification == magnification]
    if not records:
        at = "" if magnification is None else f" of magnification {magnification}X"
        raise _unusable(f"no BreaKHis image{at} below {root}")
    repeated = [name for name, count in Counter(record.name for record in records).items() if count > 1]
    if repeated:
        raise _unusable(f"{len(repeated)} image names stand twice below {root}, for instance {repeated[0]}")
    return sorted(records, key=lambda record: record.name)


def contradictory_twins(
    records: Sequence[Record], digest: Callable[[Path], str | None] | None = None
) -> tuple[list[Record], list[list[Record]]]:
    """Splits off images that stand under two labels with exactly the same pixels.

    In the official data set patient 14-13412 does so under DC and LC. Training on either copy teaches a contradiction,
    and neither label can be preferred, so both are dropped. digest: by path; None decodes (`pixel_digest`).

    Returns: the records to keep, in order, and the groups of twins. Unreadable images are kept: reading them later
    says what is wrong.
    """
    by_pixels: dict[str, list[Record]] = defaultdict(list)
    with ThreadPoolExecutor() as pool:
        for record, found in zip(records, pool.map(digest or pixel_digest, [r.path for r in records]), strict=True):
            by_pixels[found or f"unreadable {record.name}"].append(record)
    twins = [group for group in by_pixels.values() if len({record.label for record in group}) > 1]
    dropped = {record.name for group in twins for record in group}
    return [record for record in records if record.name not in dropped], twins


def pixel_digest(path: Path) -> str | None:
    """Fingerprint of an image's size and pixels, whatever its file format and name; None for an unreadable image."""
    try:
        image = decode(path)
    except InputError:
        return None
    return fingerprint(image)


def _from_names(root: Path) -> list[Record]:
    records = []
    for path in sorted(root.rglob("*")):
        name = parse_name(path) if path.suffix.lower() in IMAGE_SUFFIXES else None
        if name is not None:
            records.append(Record(path.stem, path, name.label, name.patient, name.magnification))
    return records


def _from_index(index: Path) -> list[Record]:
    try:
        with index.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets put a byte order mark in front
            rows = csv.DictReader(file)
            columns = rows.fieldnames or []
            missing = {"class", "patient", "magnification"} - set(columns)
            if missing or not any(column in columns for column in _PATH_COLUMNS):
                raise _unusable(f"{index} has the columns {', '.join(columns) or 'none'}")
            return [_from_row(index, number, row) for number, row in enumerate(rows, start=2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _unusable(f"{index} is no CSV file in UTF-8: {error}") from error


def _from_row(index: Path, line: int, row: dict[str, str]) -> Record:
    relative = next((row[column] for column in _PATH_COLUMNS if row.get(column)), None)
    magnification = (row["magnification"] or "").removesuffix("X")
    if relative is None or row["class"] not in CLASSES or not magnification.isdecimal():
        raise _unusable(f"{index} line {line} has no path, an unknown class ({row['class']}) or no magnification")
    path = index.parent / relative
    name = parse_name(path)
    if name is not None and name.label != row["class"]:
        raise _unusable(f"{index} line {line} says {row['class']}, the file name {path.name} says {name.label}")
    return Record(path.stem, path, row["class"], row["patient"], int(magnification))


def _unusable(found: str) -> DataError:
    return DataError(
        found,
        expected="BreaKHis's official tree (SOB_M_DC-14-2523-100-001.png ...), or a folder with an index.csv of "
        "path,class,patient,magnification",
        next_step="ssr-edge train --data PATH/TO/BreaKHis_v1",
    )
