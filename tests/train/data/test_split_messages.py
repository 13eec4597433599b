from __future__ import annotations

from pathlib import Path

import pytest

from ssr_edge.breakhis.names import CLASSES
from ssr_train.data.breakhis import Record
from ssr_train.data.split_messages import differences, missing_classes
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
    ("kind", "parts", "reason", "lacking"),
    [
        ("patient", {}, "no images", ""),
        ("patient", {"p": "train"}, "one patient (p)", "val and test"),
        ("official-fold-1", {"p": "train", "q": "test"}, "two patients (p, q)", "val"),
        ("patient", {"p": "train", "q": "test", "r": "train"}, "3 patients, but", "val"),
        ("patient-fold-1-of-5", {"p": "train", "q": "val", "r": "train"}, "3 patients for 5 folds (p, q, r)", "test"),
        ("image", {"p": "train"}, "1 image,", "val and test"),
    ],
)
def test_a_missing_class_is_named_with_the_reason(kind: str, parts: dict[str, Part], reason: str, lacking: str) -> None:
    split = Split(kind, 0, PARTS | {f"TA-{patient}": part for patient, part in parts.items()})
    (message,) = missing_classes([*WHOLE, *records("TA", *parts)], split)
    assert message.startswith(f"TA: {reason}")
    assert not lacking or message.endswith(f"none in {lacking}")


def test_a_split_with_every_class_in_every_part_needs_no_message() -> None:
    split = Split("patient", 0, PARTS | {"TA-p": "train", "TA-q": "val", "TA-r": "test"})
    assert missing_classes([*WHOLE, *records("TA", "p", "q", "r")], split) == []


def test_names_and_images_that_do_not_fit_are_counted() -> None:
    split = Split("image", 0, {"A-p": "train", "gone": "test", "lost": "val"})
    here = records("A", "p", "q")
    absent, unnamed = differences(split, here)
    assert absent.startswith("2 of 3 images in the split") and absent.endswith(" gone")
    assert unnamed.startswith("1 of 2 images") and unnamed.endswith(" A-q")
    assert (
        differences(
            split, records("A", "p"), [Record("gone", Path(), "A", "p", 40), Record("lost", Path(), "A", "p", 40)]
        )
        == []
    )
