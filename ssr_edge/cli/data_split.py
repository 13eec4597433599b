"""Implements `ssr-edge data split`: splits the images, writes the files and prints what is in each part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
from rich.console import Console
from rich.table import Table

from ssr_edge.breakhis.names import CLASS_NAMES, CLASSES
from ssr_edge.cli.extras import importing
from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import cannot_write

if TYPE_CHECKING:
    from ssr_train.data.breakhis import Record
    from ssr_train.data.splits import Split

_FOLDS = 5


@dataclass(frozen=True)
class SplitRequest:
    """The options of the command; None if not given."""

    path: Path
    kind: Literal["image", "patient", "kfold", "official"]
    magnification: int | None
    unit: Literal["image", "patient"] | None
    folds: int | None
    fold: int | None
    folds_dir: Path | None
    seed: int
    output: Path


def write_splits(asked: SplitRequest) -> None:
    """Writes a split file, or one for each fold, and prints what is in each part.

    Raises:
        UsageError: the options can't be combined, or a file can't be written.
        DataError: the images or fold files can't be used.
    """
    _check(asked)
    with importing("train"):
        from ssr_train.data.breakhis import contradictory_twins, read
        from ssr_train.data.split_messages import differences, missing_classes

    records = read(asked.path, asked.magnification)
    if asked.kind != "official":  # the authors' folds are not changed; training always drops twins
        records, twins = contradictory_twins(records)
        if twins:
            typer.echo(
                f"left out {sum(map(len, twins))} images: the same pixels under two labels "
                f"(e.g. {', '.join(record.name for record in twins[0])})"
            )
    with importing("train"):
        splits = _splits(asked, records)
    for number, split in splits.items():
        file = asked.output if len(splits) == 1 else asked.output.with_suffix(f".fold-{number}{asked.output.suffix}")
        _write(split, file)
        _table(f"{file}: {split.kind}, seed {split.seed}", records, split)
        shared = _patients_in_several_parts(records, split)
        for message in (*differences(split, records), *missing_classes(records, split), *shared):
            typer.echo(f"  {message}")
    typer.echo(f"next: ssr-edge train --data {asked.path} --split {file}")


def _write(split: Split, file: Path) -> None:
    try:
        split.write(file)
    except OSError as error:
        raise cannot_write(file, error, "ssr-edge data split FOLDER -o split.csv") from error


def _splits(asked: SplitRequest, records: list[Record]) -> dict[int, Split]:
    from ssr_train.data.folds import make_folds
    from ssr_train.data.official_folds import OFFICIAL_FOLDS, official_split
    from ssr_train.data.splits import make_split

    if asked.kind == "official":
        assert asked.folds_dir is not None
        numbers = range(1, OFFICIAL_FOLDS + 1) if asked.fold is None else [asked.fold]
        return {number: official_split(records, asked.folds_dir, number, asked.seed) for number in numbers}
    if asked.kind == "kfold":
        made = make_folds(records, asked.unit or "patient", asked.folds or _FOLDS, asked.seed)
        return {number: split for number, split in enumerate(made, start=1) if asked.fold in (None, number)}
    return {1: make_split(records, asked.kind, asked.seed)}


def _check(asked: SplitRequest) -> None:
    kinds_of = {
        "--folds": (asked.folds, ("kfold",)),
        "--unit": (asked.unit, ("kfold",)),
        "--fold": (asked.fold, ("kfold", "official")),
        "--folds-dir": (asked.folds_dir, ("official",)),
    }
    for option, (value, kinds) in kinds_of.items():
        if value is not None and asked.kind not in kinds:
            raise _usage(f"{option} with --kind {asked.kind}", f"--kind {' or '.join(kinds)}", f"--kind {kinds[0]}")
    if asked.kind == "official" and asked.folds_dir is None:
        raise _usage("--kind official without --folds-dir", "--folds-dir FOLDER", "--kind official --folds-dir FOLDER")
    most = {"kfold": asked.folds or _FOLDS, "official": 5}.get(asked.kind, 1)
    if asked.fold is not None and asked.fold > most:
        raise _usage(f"--fold {asked.fold}", f"1 to {most}", f"--kind {asked.kind} --fold {most}")


def _table(title: str, records: list[Record], split: Split) -> None:
    from ssr_train.data.splits import PARTS

    console = Console(highlight=False)
    console.print(title, markup=False, soft_wrap=True)
    table = Table()
    table.add_column("images (patients)")
    for part in PARTS:
        table.add_column(part, justify="right")
    for label in (*CLASSES, "all"):
        own = [record for record in records if label in (record.label, "all")]
        of_parts = [split.select(own, part) for part in PARTS]
        table.add_row(
            label if label == "all" else f"{label} {CLASS_NAMES[label]}",
            *(f"{len(images)} ({len({record.patient for record in images})})" for images in of_parts),
        )
    console.print(table)


def _patients_in_several_parts(records: list[Record], split: Split) -> list[str]:
    parts_of: dict[str, set[str]] = {}
    for record in records:
        if record.name in split.parts:
            parts_of.setdefault(record.patient, set()).add(split.parts[record.name])
    several = sorted(patient for patient, parts in parts_of.items() if len(parts) > 1)
    if not several:
        return []
    return [
        f"{len(several)} of {len(parts_of)} patients are in several parts, e.g. {several[0]}: metrics of this split do "
        "not show how well the network generalizes to new patients"
    ]


def _usage(found: str, expected: str, options: str) -> UsageError:
    return UsageError(found, expected=expected, next_step=f"ssr-edge data split FOLDER {options}")
