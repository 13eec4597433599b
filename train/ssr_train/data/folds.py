"""k folds, by image or by patient: each image is in the test part of exactly one fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssr_edge.common.errors import DataError
from ssr_train.data.assign_patients import assign_patients
from ssr_train.data.breakhis import Record
from ssr_train.data.splits import Part, Split, SplitKind


def make_folds(records: Sequence[Record], unit: SplitKind, folds: int, seed: int) -> list[Split]:
    """Splits 1 to `folds`: fold n is the test part of split n and the val part of the split before it.

    unit: `image`, stratified by class, or `patient`, so that each patient is in one fold only.

    Raises:
        DataError: fewer than three folds, or too few images or patients for this number.
    """
    names = [record.name for record in records]
    labels = np.array([record.label for record in records])
    try:
        if folds < 3:
            raise ValueError("train, val and test need one fold each")
        if unit == "image":
            fold_of = _by_image(labels, folds, seed)
        else:
            patients = np.array([record.patient for record in records])
            fold_of = assign_patients(labels, patients, [1 / folds] * folds, seed)
        if len(np.unique(fold_of)) < folds:
            raise ValueError("a fold would be empty")
    except ValueError as error:
        raise DataError(
            f"{len(records)} images can't be split by {unit} into {folds} folds: {error}",
            expected="at least three folds, and at most as many as patients or images of the rarest class",
            next_step="ssr-edge data split FOLDER --kind kfold --folds 3",
        ) from error
    return [
        Split(
            f"{unit}-fold-{number}-of-{folds}",
            seed,
            {name: _part(int(fold), number - 1, folds) for name, fold in sorted(zip(names, fold_of, strict=True))},
        )
        for number in range(1, folds + 1)
    ]


def _part(fold: int, tested: int, folds: int) -> Part:
    if fold == tested:
        return "test"
    return "val" if fold == (tested + 1) % folds else "train"


def _by_image(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    from sklearn.model_selection import StratifiedKFold

    rarest = min(np.unique(labels, return_counts=True)[1], default=0)
    if rarest < folds:
        raise ValueError(f"the rarest class has {rarest} images")  # scikit-learn only warns
    fold_of = np.empty(len(labels), np.int64)
    for number, (_, held_out) in enumerate(
        StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)
    ):
        fold_of[held_out] = number
    return fold_of
