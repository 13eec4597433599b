"""Reads the five folds that BreaKHis's authors published: dsfold1.txt to dsfold5.txt, `file|magnification|fold|group`.

Format: the script `mkfold.py` beside these files, which comes with the data set (Spanhol et al. 2016). They divide into
train and test only, by patient; the val part that training watches is taken out of train.
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
        DataError: the file is missing or not of this format; the line is named.
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
            raise _unusable(f"{path} line {number} has {name} a second time")
        parts[name] = part
        folds.add(fold)
        if len(folds) > 1:
            raise _unusable(f"{path} line {number} is of fold {fold}, the lines before of another")
    if not parts:
        raise _unusable(f"{path} is empty")
    return folds.pop(), parts


def official_split(records: Sequence[Record], folder: Path, fold: int, seed: int) -> Split:
    """One of the five folds; `val` is about a seventh of its train images, whole patients, drawn by `seed`.

    The test part is the authors'. records: the images at hand; those that the fold does not name are left out.

    Raises:
        DataError: the fold's file is missing or damaged, or train or test has no image here.
    """
    path = folder / f"dsfold{fold}.txt"
    said, parts = read_fold(path)
    if said != fold:
        raise _unusable(f"{path} holds fold {said}")
    named = [record for record in records if record.name in parts]
    train = [record for record in named if parts[record.name] == "train"]
    if not train or len(train) == len(named):
        raise _unusable(f"{path}: its {'test' if train else 'train'} part has none of the {len(records)} images here")
    labels, patients = (np.array([getattr(r, field) for r in train]) for field in ("label", "patient"))
    share = VAL_FRACTION / (1 - TEST_FRACTION)
    watched = assign_patients(labels, patients, (1 - share, share), seed) == 1
    if not watched.any():
        raise _unusable(f"{path}: one patient in train leaves none to watch")
    here = {record.name: parts[record.name] for record in named}
    here |= {record.name: "val" for record, val in zip(train, watched.tolist(), strict=True) if val}
    return Split(f"official-fold-{fold}", seed, dict(sorted(here.items())))


def _parse(line: str, where: str) -> tuple[str, int, Part]:
    columns = [column.strip() for column in line.split("|")]
    if len(columns) != 4:
        raise _unusable(f"{where} has {len(columns)} columns")
    file, magnification, fold, group = columns
    said = parse_name(file)
    if said is None:
        raise _unusable(f"{where}: {file!r} is no BreaKHis file name")
    if magnification != str(said.magnification):
        raise _unusable(f"{where} says magnification {magnification!r}, the name {said.magnification}")
    if fold not in map(str, range(1, OFFICIAL_FOLDS + 1)):
        raise _unusable(f"{where} says fold {fold!r}")
    if group not in ("train", "test"):
        raise _unusable(f"{where} says group {group!r}")
    return PurePath(file).stem, int(fold), "train" if group == "train" else "test"


def _unusable(found: str) -> DataError:
    return DataError(
        found,
        expected="dsfold1.txt to dsfold5.txt with lines like SOB_B_A-14-22549AB-100-001.png|100|1|train",
        next_step=f"get them from {HOME}, then ssr-edge data split FOLDER --kind official --folds-dir FOLDS",
    )
