"""Splits images into train, val and test parts, by image or by patient, and reads and writes split files."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ssr_edge.common.errors import DataError
from ssr_edge.common.files import replacing
from ssr_train.data.assign_patients import assign_patients
from ssr_train.data.breakhis import Record

SplitKind = Literal["image", "patient"]
Part = Literal["train", "val", "test"]
VAL_FRACTION, TEST_FRACTION = 0.12, 0.18
PARTS: tuple[Part, ...] = get_args(Part)
_FOLD = re.compile(r"(image|patient)-fold-\d+-of-\d+|official-fold-[1-5]")


@dataclass(frozen=True)
class Split:
    """The part of each image. parts: image name -> part, sorted by name.

    kind: `image`, `patient`, or one fold of several: `patient-fold-2-of-5`, `image-fold-1-of-10`, `official-fold-3`.
    """

    kind: str
    seed: int
    parts: dict[str, Part]

    @property
    def unit(self) -> SplitKind:
        """Whether images or whole patients were assigned to parts."""
        return "image" if self.kind.startswith("image") else "patient"

    def select(self, records: Sequence[Record], part: Part) -> list[Record]:
        """The records of one part, in the given order."""
        return [record for record in records if self.parts.get(record.name) == part]

    @property
    def sha256(self) -> str:
        """Fingerprint: the same names in the same parts have the same value."""
        return hashlib.sha256("\n".join(f"{n},{p}" for n, p in self.parts.items()).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Writes `name,part,kind,seed` rows as CSV."""
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["name", "part", "kind", "seed"])
            writer.writerows([name, part, self.kind, self.seed] for name, part in self.parts.items())

    @staticmethod
    def read(path: Path) -> Split:
        """Reads a file that `write` wrote.

        Raises:
            DataError: the file is missing, or is not a split.
        """
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            kinds = {(row["kind"], int(row["seed"])) for row in rows}
            (kind, seed) = kinds.pop()
            parts = {row["name"]: row["part"] for row in rows}
        except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
            raise _unusable(f"{path} can't be read as a split: {error}") from error
        if kinds or not is_kind(kind) or not set(parts.values()) <= set(PARTS):
            raise _unusable(f"{path} has several kinds or seeds, an unknown kind, or unknown parts")
        return Split(kind, seed, parts)  # type: ignore[arg-type]


def is_kind(text: str) -> bool:
    """Whether this is the kind of a split."""
    return text in get_args(SplitKind) or _FOLD.fullmatch(text) is not None


def fold_count(kind: str) -> int | None:
    """Number of folds of a kind like `patient-fold-2-of-5`; None for the other kinds."""
    of = re.search(r"-of-(\d+)$", kind)
    return int(of[1]) if of else None


def make_split(records: Sequence[Record], kind: SplitKind, seed: int) -> Split:
    """Splits records: `image` stratified by class; `patient` so that each patient is in one part only.

    In a `patient` split, a class with one or two patients is missing from a part; see `split_messages`.

    Raises:
        DataError: too few images or patients to split.
    """
    names = np.array([record.name for record in records])
    labels = np.array([record.label for record in records])
    try:
        if kind == "image":
            train, val, test = _by_image(labels, seed)
        else:
            train, val, test = _by_patient(labels, np.array([record.patient for record in records]), seed)
    except ValueError as error:
        raise _unusable(f"{len(records)} images can't be split by {kind}: {error}") from error
    parts: dict[str, Part] = {}
    positions: dict[Part, np.ndarray] = {"train": train, "val": val, "test": test}
    for part, rows in positions.items():
        parts.update(dict.fromkeys(names[rows].tolist(), part))
    return Split(kind, seed, dict(sorted(parts.items())))


def _by_image(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(labels))
    rest, test = train_test_split(everything, test_size=TEST_FRACTION, stratify=labels, random_state=seed)
    share = VAL_FRACTION / (1 - TEST_FRACTION)
    train, val = train_test_split(rest, test_size=share, stratify=labels[rest], random_state=seed)
    return train, val, test


def _by_patient(labels: np.ndarray, patients: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shares = (1 - VAL_FRACTION - TEST_FRACTION, VAL_FRACTION, TEST_FRACTION)
    part = assign_patients(labels, patients, shares, seed)
    train, val, test = (np.flatnonzero(part == position) for position in range(len(shares)))
    if not (len(train) and len(val) and len(test)):
        raise ValueError(f"{len(np.unique(patients))} patients are too few, a part would be empty")
    return train, val, test


def _unusable(found: str) -> DataError:
    return DataError(
        found,
        expected="at least two images per class in every part; for a patient split, a class with three patients",
        next_step="ssr-edge train --data FOLDER --split image",
    )
