"""Reads the five folds that BreaKHis's authors published: dsfold1.txt to dsfold5.txt, `file|magnification|fold|group`.

Format: see the script `mkfold.py`, which comes with the data set (Spanhol et al. 2016). The folds have train and test
images only, split by patient; the val part is taken from train.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np

from ssr_edge.breakhis.names import HOME, parse_name
from ssr_edge.common.errors import DataError
from ssr_train.data.assign_patients import assign_patients
from ssr_train.data.breakhis import Record
from ssr_train.data.splits import TEST_FRACTION, VAL_FRACTION, Part, Split

OFFICIAL_FOLDS = 5


def read_fold(path: Path) -> tuple[int, dict[str, Part]]:
    """The fold's number, and `train` or `test` for each image name (without suffix).

    Raises:
        DataError: the file is missing or has another format; the error names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(f"{path} can't be read: {error}") from error
    parts: dict[str, Part] = {}
    folds: set[int] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, fold, part = _parse(line, f"{path} line {number}")
        if name in parts:
            raise _unusable(f"{path} line {number} lists {name} a second time")
        parts[name] = part
        folds.add(fold)
        if len(folds) > 1:
            raise _unusable(f"{path} line {number} has fold {fold}, the lines before have another")
    if not parts:
        raise _unusable(f"{path} is empty")
    return folds.pop(), parts


def official_split(records: Sequence[Record], folder: Path, fold: int, seed: int) -> Split:
    """One of the five folds; `val` is about a seventh of its train images, whole patients chosen by `seed`.

    The test part is the authors'. records: the available images; those that the fold does not list are left out.

    Raises:
        DataError: the fold file is missing or damaged, or none of its train or test images is available.
    """
    path = folder / f"dsfold{fold}.txt"
    actual, parts = read_fold(path)
    if actual != fold:
        raise _unusable(f"{path} contains fold {actual}")
    named = [record for record in records if record.name in parts]
    train = [record for record in named if parts[record.name] == "train"]
    if not train or len(train) == len(named):
        raise _unusable(f"{path}: none of the {len(records)} available images is in {'test' if train else 'train'}")
    labels, patients = (np.array([getattr(r, field) for r in train]) for field in ("label", "patient"))
    share = VAL_FRACTION / (1 - TEST_FRACTION)
    in_val = assign_patients(labels, patients, (1 - share, share), seed) == 1
    if not in_val.any():
        raise _unusable(f"{path}: train has only one patient, so val would be empty")
    available = {record.name: parts[record.name] for record in named}
    available |= {record.name: "val" for record, val in zip(train, in_val.tolist(), strict=True) if val}
    return Split(f"official-fold-{fold}", seed, dict(sorted(available.items())))


def _parse(line: str, where: str) -> tuple[str, int, Part]:
    columns = [column.strip() for column in line.split("|")]
    if len(columns) != 4:
        raise _unusable(f"{where} has {len(columns)} columns")
    file, magnification, fold, group = columns
    name = parse_name(file)
    if name is None:
        raise _unusable(f"{where}: {file!r} is not a BreaKHis file name")
    if magnification != str(name.magnification):
        raise _unusable(f"{where} has magnification {magnification!r}, the file name has {name.magnification}")
    if fold not in map(str, range(1, OFFICIAL_FOLDS + 1)):
        raise _unusable(f"{where} has fold {fold!r}")
    if group not in ("train", "test"):
        raise _unusable(f"{where} has group {group!r}")
    return PurePath(file).stem, int(fold), "train" if group == "train" else "test"


def _unusable(found: str) -> DataError:
    return DataError(
        found,
        expected="dsfold1.txt to dsfold5.txt with lines like SOB_B_A-14-22549AB-100-001.png|100|1|train",
        next_step=f"download them from {HOME}, then ssr-edge data split FOLDER --kind official --folds-dir FOLDS",
    )
