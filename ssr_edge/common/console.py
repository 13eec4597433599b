"""The console that tables are printed to."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console

# rich assumes 80 columns for a file or a pipe, and would wrap tables in the middle of paths.
_WIDTH_OF_FILES = 160


def open_console(file: TextIO | None = None) -> Console:
    """A console without syntax highlighting: as wide as the terminal, or 160 columns for a file or a pipe.

    file: stdout by default.
    """
    file = file or sys.stdout
    return Console(file=file, width=None if file.isatty() else _WIDTH_OF_FILES, highlight=False)
