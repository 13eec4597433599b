"""Text helpers shared by the tables, charts and pages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

TIMES = "\N{MULTIPLICATION SIGN}"
# Without a width, rich would fold tables to 80 columns in a file or a pipe.
_PLAIN_WIDTH = 140


def console_on(file: TextIO) -> Console:
    """A rich console that writes to a terminal or a file."""
    from rich.console import Console

    return Console(file=file, width=None if file.isatty() else _PLAIN_WIDTH, highlight=False)


def printable(path: Path | str) -> str:
    """A path as text that any file can hold; bytes that are not UTF-8 are written as `\\xff`."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")
