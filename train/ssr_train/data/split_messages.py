"""Says what a split can't do: classes that a part lacks and why, and names that do not fit the images at hand."""

from __future__ import annotations

from collections.abc import Sequence

from ssr_edge.breakhis.names import CLASSES
from ssr_train.data.breakhis import Record
from ssr_train.data.splits import PARTS, Split, fold_count


def why_classes_are_missing(records: Sequence[Record], split: Split) -> list[str]:
    """One sentence for each class that a part has no image of."""
    sentences = []
    for label in CLASSES:
        own = [record for record in records if record.label == label and record.name in split.parts]
        if lacking := [part for part in PARTS if not split.select(own, part)]:
            sentences.append(_why(label, own, lacking, split))
    return sentences


def misfits(split: Split, records: Sequence[Record], dropped: Sequence[Record] = ()) -> list[str]:
    """What a split names that is not among the images here, and what is here that it does not name.

    dropped: images that are here but are not used whatever the split says.
    """
    here = {record.name for record in (*records, *dropped)}
    absent = [name for name in split.parts if name not in here]
    unnamed = [record.name for record in records if record.name not in split.parts]
    sentences = []
    if absent:
        sentences.append(f"{len(absent)} of the split's {len(split.parts)} images are not here, such as {absent[0]}")
    if unnamed:
        sentences.append(f"{len(unnamed)} of {len(records)} images here are not in the split, such as {unnamed[0]}")
    return sentences


def _why(label: str, own: list[Record], lacking: Sequence[str], split: Split) -> str:
    none_of_it = f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no image of it"
    if not own:
        return f"{label} has no image here"
    patients = sorted({record.patient for record in own})
    if split.unit == "image":
        return f"{label} has {len(own)} image{'s' if len(own) > 1 else ''} here: {none_of_it}"
    if (folds := fold_count(split.kind)) and len(patients) < folds:
        return f"{label} has {len(patients)} patients here for {folds} folds ({', '.join(patients)}): {none_of_it}"
    if len(patients) == 1:
        return f"{label} has one patient here ({patients[0]}): it can stand on one side only; {none_of_it}"
    if len(patients) == 2:
        return f"{label} has two patients here ({', '.join(patients)}): two sides at most; {none_of_it}"
    return f"{label} has {len(patients)} patients here, but {none_of_it} in this division"
