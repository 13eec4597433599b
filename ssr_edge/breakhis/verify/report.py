"""Prints a verification as text and tables, or formats it as JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ssr_edge.breakhis.names import CITATION, CLASS_NAMES, CLASSES, HOME, MAGNIFICATIONS
from ssr_edge.breakhis.verify.official_files import OfficialFiles
from ssr_edge.breakhis.verify.verification import Finding, Verification, cells, patients

_LISTED = 20
# Field of Verification: its title for one file and for several.
_TITLES = {
    "damaged": ("damaged", "damaged"),
    "renamed": ("under another name", "under another name"),
    "repeated": ("repeated", "repeated"),
    "reencoded": ("re-encoded copy", "re-encoded copies"),
    "extra": ("other image", "other images"),
    "unread": ("not read", "not read"),
}


def as_json(path: Path, found: Verification, official: OfficialFiles) -> str:
    """The verification as JSON: `whole`, counts by class and magnification, and every name."""
    here, of = cells(found.recognized), cells(file.name for file in official.files)
    fields = {
        "path": str(path),
        "whole": found.whole,
        "originals": len(official.files),
        "counts": {
            label: {
                str(magnification): {"recognized": here[label, magnification], "originals": of[label, magnification]}
                for magnification in MAGNIFICATIONS
            }
            for label in CLASSES
        },
        "patients": {"recognized": len(patients(found.recognized)), "originals": len(official.patients)},
        **asdict(found),
        "home": HOME,
        "citation": CITATION,
    }
    return json.dumps(fields, indent=2)


def show(path: Path, found: Verification, official: OfficialFiles, verbose: bool) -> None:
    """Prints the verification on stdout. verbose: every name, not only the first ones."""
    console = Console(highlight=False, soft_wrap=True)
    of = cells(file.name for file in official.files)
    console.print(
        f"{escape(str(path))}: {len(found.recognized)} of {len(official.files)} official files recognized, "
        f"{_patients(found, official)}"
    )
    console.print(_table("recognized / official", cells(found.recognized), of))
    if found.missing:
        console.print(_table(f"{len(found.missing)} missing", cells(found.missing), None))
        if verbose:
            console.print("\n".join(f"  {name}" for name in found.missing))
    for kind, (one, many) in _TITLES.items():
        findings: list[Finding] = getattr(found, kind)
        if findings:
            lines = [f"{finding.path}: {finding.problem}" for finding in findings]
            _list(console, f"{len(lines)} {one if len(lines) == 1 else many}", lines, verbose)
    if found.other:
        _list(console, f"{len(found.other)} files that are not images (harmless)", found.other, verbose)
    if found.twins:
        lines = [f"{a} = {b}" for a, b in found.twins]
        _list(console, f"{len(lines)} contradictory twins: the same pixels under two labels", lines, True)
        console.print("  The official data contains them. Training drops both, because neither label can be preferred.")
    if found.broken_off is not None:
        console.print(f"reading the archive stopped: {escape(found.broken_off)}. The rest was not checked.")
    _conclude(console, found)


def _patients(found: Verification, official: OfficialFiles) -> str:
    here = f"{len(patients(found.recognized))} of {len(official.patients)} patients"
    twice = ", ".join(sorted(official.two_label_patients))
    return f"{here} (counted by class: {twice} appears in two)" if twice else here


def _table(title: str, counts: Counter[tuple[str, int]], of: Counter[tuple[str, int]] | None) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for column in (*(f"{magnification}X" for magnification in MAGNIFICATIONS), "all"):
        table.add_column(column, justify="right")
    for label in (*CLASSES, "all"):
        classes = CLASSES if label == "all" else (label,)
        cell = [
            _cell([(c, m) for c in classes for m in magnifications], counts, of)
            for magnifications in (*((m,) for m in MAGNIFICATIONS), MAGNIFICATIONS)
        ]
        table.add_row(label if label == "all" else f"{label} {CLASS_NAMES[label]}", *cell)
    return table


def _cell(keys: list[tuple[str, int]], counts: Counter[tuple[str, int]], of: Counter[tuple[str, int]] | None) -> str:
    count = sum(counts[key] for key in keys)
    return f"{count}" if of is None else f"{count}/{sum(of[key] for key in keys)}"


def _list(console: Console, title: str, lines: list[str], verbose: bool) -> None:
    shown = lines if verbose else lines[:_LISTED]
    console.print(f"{title}:")
    for line in shown:
        console.print(f"  {escape(line)}")
    if len(shown) < len(lines):
        console.print(f"  and {len(lines) - len(shown)} more (-v or --json lists them all)")


def _conclude(console: Console, found: Verification) -> None:
    if found.whole:
        console.print("The copy is complete and unchanged.")
    else:
        console.print(f"The copy is not complete and unchanged. Official archive: {HOME}")
    console.print(f"Cite: {CITATION}")
