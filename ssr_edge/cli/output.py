"""Writes the file of a verb's `--json`, or says why it can't."""

from __future__ import annotations

from pathlib import Path

from ssr_edge.common.errors import UsageError


def write_json(file: str, text: str) -> None:
    """Writes JSON text to a file that the user named.

    Raises:
        UsageError: it can't be written there.
    """
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{file} can't be written: {error.strerror}",
            expected="--json with a file in a folder that you may write to, or - for stdout",
            next_step="the same command with --json -",
        ) from error
