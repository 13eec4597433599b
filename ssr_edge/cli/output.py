"""Writes the file of a command's `--json` option."""

from __future__ import annotations

from pathlib import Path

from ssr_edge.common.files import cannot_write


def write_json(file: str, text: str) -> None:
    """Writes JSON text to a file that the user named.

    Raises:
        UsageError: the file can't be written.
    """
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise cannot_write(file, error, "the same command with --json -  (writes to stdout)") from error
