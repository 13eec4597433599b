"""A table of a study, as Markdown and, with full precision, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssr_edge.common.files import replacing

Value = str | int | float | None


@dataclass(frozen=True)
class Table:
    """A table. rows: formatted text for Markdown. records: the same values for CSV, by column name.

    notes: paragraphs above the table with caveats and explanations.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    records: Sequence[Mapping[str, Value]]
    notes: Sequence[str] = field(default=())

    def markdown(self) -> str:
        """Title, notes and a GitHub table."""
        lines = [_line(self.columns), _line(["---"] * len(self.columns)), *(_line(row) for row in self.rows)]
        return "\n\n".join([f"## {self.title}", *self.notes, "\n".join(lines)]) + "\n"

    def write(self, folder: Path) -> None:
        """Writes NAME.md and NAME.csv."""
        with replacing(folder / f"{self.name}.md") as temporary:
            temporary.write_text(self.markdown(), encoding="utf-8")
        columns = list(dict.fromkeys(key for record in self.records for key in record))
        with replacing(folder / f"{self.name}.csv") as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.records)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
