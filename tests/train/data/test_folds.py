from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import DataError
from ssr_train.data.breakhis import Record
from ssr_train.data.folds import make_folds
from ssr_train.data.splits import Split, SplitKind

RECORDS = [
    Record(f"{label}-{patient}-{image}", Path("x.png"), label, f"{label}-{patient}", 100)
    for label in CLASSES
    for patient in range(6)
    for image in range(5)
]


@settings(max_examples=10)
@given(st.integers(3, 6), st.integers(0, 2**31))
@pytest.mark.parametrize("unit", ["image", "patient"])
def test_every_image_is_tested_once_and_watched_once(unit: SplitKind, folds: int, seed: int) -> None:
    splits = make_folds(RECORDS, unit, folds, seed)
    assert [split.kind for split in splits] == [f"{unit}-fold-{n}-of-{folds}" for n in range(1, folds + 1)]
    parts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for split in splits:
        assert list(split.parts) == sorted(record.name for record in RECORDS)
        for name, part in split.parts.items():
            parts[name][part] += 1
    assert all(count == {"test": 1, "val": 1, "train": folds - 2} for count in parts.values())
    for before, after in pairwise(splits):
        assert {n for n, p in before.parts.items() if p == "val"} == {n for n, p in after.parts.items() if p == "test"}


@settings(max_examples=10)
@given(st.integers(3, 6), st.integers(0, 2**31))
def test_no_patient_stands_on_two_sides_and_no_class_is_left_out(folds: int, seed: int) -> None:
    for split in make_folds(RECORDS, "patient", folds, seed):
        parts_of = defaultdict(set)
        for record in RECORDS:
            parts_of[record.patient].add(split.parts[record.name])
        assert {len(parts) for parts in parts_of.values()} == {1}
        assert {record.label for record in split.select(RECORDS, "test")} == set(CLASSES)


def test_folds_by_image_are_stratified() -> None:
    for split in make_folds(RECORDS, "image", 5, 0):
        assert Counter(record.label for record in split.select(RECORDS, "test")) == dict.fromkeys(CLASSES, 6)


def test_a_fold_survives_its_file(tmp_path: Path) -> None:
    split = make_folds(RECORDS, "patient", 4, 7)[2]
    split.write(tmp_path / "fold.csv")
    assert Split.read(tmp_path / "fold.csv") == split
    assert (split.kind, split.unit, split.seed) == ("patient-fold-3-of-4", "patient", 7)


@pytest.mark.parametrize(
    ("records", "unit", "folds", "why"),
    [
        (RECORDS, "patient", 2, "train, val and test"),
        (RECORDS, "image", 2, "train, val and test"),
        (RECORDS[:5], "patient", 3, "empty"),
        (RECORDS, "image", 31, "30 images"),
        ([], "image", 3, "0 images"),
        ([], "patient", 3, "empty"),
        (RECORDS, "patient", 1, "train, val and test"),
        (RECORDS, "patient", 0, "train, val and test"),
        (RECORDS, "image", -1, "train, val and test"),
    ],
)
def test_too_few_folds_images_or_patients_are_refused(
    records: list[Record], unit: SplitKind, folds: int, why: str
) -> None:
    with pytest.raises(DataError) as raised:
        make_folds(records, unit, folds, 0)
    problem, reason = raised.value.found.split(": ")
    assert f"by {unit}" in problem and f"{folds} folds" in problem and why in reason
