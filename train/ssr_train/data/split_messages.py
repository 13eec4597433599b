"""Messages about a split: classes missing from a part, and names that do not match the available images."""

from __future__ import annotations

from collections.abc import Sequence

from ssr_edge.breakhis.names import CLASSES
from ssr_train.data.breakhis import Record
from ssr_train.data.splits import PARTS, Split, fold_count


def missing_classes(records: Sequence[Record], split: Split) -> list[str]:
    """One sentence for each class that is missing from a part."""
    sentences = []
    for label in CLASSES:
        own = [record for record in records if record.label == label and record.name in split.parts]
        if lacking := [part for part in PARTS if not split.select(own, part)]:
            sentences.append(_missing_class(label, own, lacking, split))
    return sentences


def differences(split: Split, records: Sequence[Record], dropped: Sequence[Record] = ()) -> list[str]:
    """One sentence for names of the split without an image, and one for images that the split does not list.

    dropped: images that exist but are never used.
    """
    existing = {record.name for record in (*records, *dropped)}
    absent = [name for name in split.parts if name not in existing]
    unnamed = [record.name for record in records if record.name not in split.parts]
    sentences = []
    if absent:
        sentences.append(f"{len(absent)} of {len(split.parts)} images in the split do not exist, e.g. {absent[0]}")
    if unnamed:
        sentences.append(f"{len(unnamed)} of {len(records)} images are not in the split, e.g. {unnamed[0]}")
    return sentences


def _missing_class(label: str, own: list[Record], lacking: Sequence[str], split: Split) -> str:
    missing = f"none in {' and '.join(lacking)}"
    if not own:
        return f"{label}: no images"
    patients = sorted({record.patient for record in own})
    if split.unit == "image":
        return f"{label}: {len(own)} image{'s' if len(own) > 1 else ''}, {missing}"
    if (folds := fold_count(split.kind)) and len(patients) < folds:
        return f"{label}: {len(patients)} patients for {folds} folds ({', '.join(patients)}), {missing}"
    if len(patients) == 1:
        return f"{label}: one patient ({patients[0]}), so in one part only; {missing}"
    if len(patients) == 2:
        return f"{label}: two patients ({', '.join(patients)}), so in two parts at most; {missing}"
    return f"{label}: {len(patients)} patients, but {missing}"
