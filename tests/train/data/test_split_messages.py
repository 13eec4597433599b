from __future__ import annotations

from pathlib import Path

import pytest

from ssr_edge.breakhis.names import CLASSES
from ssr_train.data.breakhis import Record
from ssr_train.data.split_messages import misfits, why_classes_are_missing
from ssr_train.data.splits import Part, Split


def records(label: str, *patients: str) -> list[Record]:
    return [Record(f"{label}-{patient}", Path("x.png"), label, patient, 100) for patient in patients]


WHOLE = [
    record for label in CLASSES if label != "TA" for record in records(label, f"{label}1", f"{label}2", f"{label}3")
]
PARTS: dict[str, Part] = {
    record.name: part  # type: ignore[misc]
    for record, part in zip(WHOLE, ["train", "val", "test"] * 7, strict=True)
}


@pytest.mark.parametrize(
    ("kind", "parts", "said"),
    [
        ("patient", {}, "TA has no image here"),
        (
            "patient",
            {"p": "train"},
            "TA has one patient here (p): it can stand on one side only; val and test have no image of it",
        ),
        (
            "official-fold-1",
            {"p": "train", "q": "test"},
            "TA has two patients here (p, q): two sides at most; val has no image of it",
        ),
        (
            "patient",
            {"p": "train", "q": "test", "r": "train"},
            "TA has 3 patients here, but val has no image of it in this division",
        ),
        (
            "patient-fold-1-of-5",
            {"p": "train", "q": "val", "r": "train"},
            "TA has 3 patients here for 5 folds (p, q, r): test has no image of it",
        ),
        ("image", {"p": "train"}, "TA has 1 image here: val and test have no image of it"),
    ],
)
def test_a_missing_class_is_named_with_the_reason(kind: str, parts: dict[str, Part], said: str) -> None:
    split = Split(kind, 0, PARTS | {f"TA-{patient}": part for patient, part in parts.items()})
    assert why_classes_are_missing([*WHOLE, *records("TA", *parts)], split) == [said]


def test_a_split_with_every_class_everywhere_needs_no_words() -> None:
    split = Split("patient", 0, PARTS | {"TA-p": "train", "TA-q": "val", "TA-r": "test"})
    assert why_classes_are_missing([*WHOLE, *records("TA", "p", "q", "r")], split) == []


def test_names_and_images_that_do_not_fit_are_counted() -> None:
    split = Split("image", 0, {"A-p": "train", "gone": "test", "lost": "val"})
    here = records("A", "p", "q")
    assert misfits(split, here) == [
        "2 of the split's 3 images are not here, such as gone",
        "1 of 2 images here are not in the split, such as A-q",
    ]
    assert (
        misfits(split, records("A", "p"), [Record("gone", Path(), "A", "p", 40), Record("lost", Path(), "A", "p", 40)])
        == []
    )
