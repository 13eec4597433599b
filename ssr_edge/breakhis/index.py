"""The reader of index.csv, which labels images whose file names are not BreaKHis names."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import DataError

INDEX = "index.csv"
# Columns that may hold the path of an image, in order of preference. Paths are relative to the folder of index.csv.
_PATH_COLUMNS = ("path", "jpeg", "original", "file")
_COMPLETE = ("patient", "magnification")


@dataclass(frozen=True)
class IndexRow:
    """One image of an index.csv. line: line number in the file, for messages.

    paths: all copies of the image, the preferred one first; may be empty. label: one of CLASSES.
    patient, magnification: None if the row has none.
    """

    line: int
    paths: tuple[Path, ...]
    label: str
    patient: str | None
    magnification: int | None


def read_index(index: Path, *, complete: bool = False) -> list[IndexRow]:
    """Reads an index.csv (UTF-8) with a `class` column and at least one path column, in the order of its lines.

    complete: also requires the columns `patient` and `magnification`, and a path and a magnification in each row.

    Raises:
        DataError: the file is not CSV in UTF-8, a column is missing, or a row can't be used.
    """
    try:
        with index.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write a byte order mark
            rows = csv.DictReader(file)
            columns = rows.fieldnames or []
            missing = {"class", *(_COMPLETE if complete else ())} - set(columns)
            if missing or not any(column in columns for column in _PATH_COLUMNS):
                raise unusable_index(index, f"{index} has the columns {', '.join(columns) or 'none'}")
            return [_parse(index, line, row, complete) for line, row in enumerate(rows, start=2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise unusable_index(index, f"{index} is not a CSV file in UTF-8: {error}") from error


def unusable_index(index: Path, found: str) -> DataError:
    """The error for an index.csv that can't be used."""
    return DataError(
        found,
        expected=f"the columns path, class (one of {', '.join(CLASSES)}), patient and magnification",
        next_step=f"correct {index}, or delete it if all images have BreaKHis file names",
    )


def _parse(index: Path, line: int, row: dict[str, str], complete: bool) -> IndexRow:
    files = [row[column] for column in _PATH_COLUMNS if row.get(column)]
    digits = (row.get("magnification") or "").removesuffix("X")
    magnification = int(digits) if digits.isdecimal() else None
    if row["class"] not in CLASSES:
        raise unusable_index(index, f"{index} line {line} has the unknown class {row['class']!r}")
    if any("\0" in file for file in files):
        raise unusable_index(index, f"{index} line {line} has a path with a null byte")
    if complete and not (files and magnification is not None):
        raise unusable_index(index, f"{index} line {line} has no {'magnification' if files else 'path'}")
    paths = tuple(index.parent / file for file in files)
    return IndexRow(line, paths, row["class"], row.get("patient"), magnification)
