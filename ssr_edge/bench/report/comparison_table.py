"""Prints a comparison with an older benchmark."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TextIO

from ssr_edge.bench.report.compare import Change, Comparison
from ssr_edge.bench.report.report import scenario_name

if TYPE_CHECKING:
    from rich.table import Table

# rich would fold the table to 80 columns in a file or a pipe.
_PLAIN_WIDTH = 132


def print_comparison(comparison: Comparison, old: str, file: TextIO) -> None:
    """Writes what changed since the run in the file `old` to a terminal or a file."""
    from rich.console import Console

    console = Console(file=file, width=None if file.isatty() else _PLAIN_WIDTH, highlight=False)
    if comparison.times:
        console.print(_time_table(comparison, old))
    if comparison.labels:
        console.print(_label_table(comparison))
    lines = [f"new: {name}" for name in comparison.appeared] + [f"gone: {name}" for name in comparison.vanished]
    lines += [f"Warning: {warning}" for warning in comparison.warnings]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    console.print(_in_a_sentence(comparison, old), markup=False, soft_wrap=True, style="bold")


def _in_a_sentence(comparison: Comparison, old: str) -> str:
    if not comparison.times:
        return f"This run and {old} have no row in common."
    # That the yardstick moved is a warning of its own.
    times = [row.verdict for row in comparison.times if row.task.engine != comparison.baseline]
    verdicts = times + [row.verdict for row in comparison.labels]
    worse, better = verdicts.count("worse"), verdicts.count("better")
    if not worse and not better:
        return f"Against {old} nothing changed beyond noise."
    return f"Beyond noise, {worse} of {len(verdicts)} rows are worse than in {old}, and {better} better."


def _time_table(comparison: Comparison, old: str) -> Table:
    from rich.table import Table

    table = Table(title=f"against {old}: medians over rounds, for offline ms an image")
    table.add_column("engine")
    table.add_column("scenario")
    for heading in ("old ms", "new ms", "new / old"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    previous = None
    for row in comparison.times:
        if previous not in (None, row.task.engine):
            table.add_section()
        previous = row.task.engine
        table.add_row(
            row.task.engine,
            scenario_name(row.task),
            f"{row.old_ms:.2f}",
            f"{row.new_ms:.2f}",
            _change(row.change),
            {"worse": "slower", "better": "faster"}.get(row.verdict, row.verdict)
            + (f" ({row.why})" if row.why else ""),
        )
    return table


def _change(change: Change) -> str:
    if math.isinf(change.high):
        return f"{change.ratio:.2f}"
    # The bracket is escaped: rich would take it for markup.
    return f"{change.ratio:.2f} \\[{change.low:.2f}, {change.high:.2f}]"


def _label_table(comparison: Comparison) -> Table:
    from rich.table import Table

    table = Table(title="labels of the same images")
    table.add_column("engine")
    for heading in ("changed", "accuracy", "macro-F1"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for row in comparison.labels:
        table.add_row(
            row.engine,
            f"{row.changed} of {row.images}",
            _from_to(*row.accuracy),
            _from_to(*row.macro_f1),
            row.verdict,
        )
    return table


def _from_to(old: float | None, new: float | None) -> str:
    before, after = ("-" if share is None else f"{share:.4f}" for share in (old, new))
    return before if before == after else f"{before} -> {after}"
