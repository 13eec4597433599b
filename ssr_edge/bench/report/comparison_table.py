"""Prints a comparison with an earlier benchmark."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TextIO

from ssr_edge.bench.report.compare import Change, Comparison
from ssr_edge.common.console import open_console

if TYPE_CHECKING:
    from rich.table import Table


def print_comparison(comparison: Comparison, old: str, file: TextIO) -> None:
    """Writes the changes since the run stored in the file `old` to a terminal or a file."""
    console = open_console(file)
    if comparison.times:
        console.print(_time_table(comparison, old))
    if comparison.labels:
        console.print(_label_table(comparison))
    lines = [f"new: {name}" for name in comparison.appeared] + [f"removed: {name}" for name in comparison.vanished]
    lines += [f"Warning: {warning}" for warning in comparison.warnings]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    console.print(_conclusion(comparison, old), markup=False, soft_wrap=True, style="bold")


def _conclusion(comparison: Comparison, old: str) -> str:
    if not comparison.times:
        return f"This run and {old} have no rows in common."
    # A change of the baseline is reported as a warning instead.
    times = [row.verdict for row in comparison.times if row.task.engine != comparison.baseline]
    verdicts = times + [row.verdict for row in comparison.labels]
    worse, better = verdicts.count("worse"), verdicts.count("better")
    if not worse and not better:
        return f"No change beyond noise relative to {old}."
    return f"Beyond noise, {worse} of {len(verdicts)} rows are worse than in {old} and {better} are better."


def _time_table(comparison: Comparison, old: str) -> Table:
    from rich.table import Table

    table = Table(title=f"compared with {old}: medians over rounds; offline in ms per image")
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
            row.task.label,
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
    # The bracket is escaped because rich would read it as markup.
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
