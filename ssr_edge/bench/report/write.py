"""Writes bench.json and the other files of a benchmark."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ssr_edge.bench.report.schema import BenchFile
from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import replacing


def as_text(bench: BenchFile) -> str:
    """bench.json as text, with each list of numbers on one line."""
    text = json.dumps(bench.model_dump(mode="json"), indent=1, allow_nan=False)
    # JSON strings contain no line breaks, so this matches lists only.
    return re.sub(r"\[\n([-+\s\d.,enul]*)\]", lambda found: f"[{' '.join(found[1].split())}]", text)


def write_json(bench: BenchFile, path: Path) -> None:
    """Writes bench.json atomically.

    Raises:
        UsageError: the file can't be written.
    """
    write_text(path, as_text(bench) + "\n", "--json")


def write_text(path: Path, text: str, option: str) -> None:
    """Writes the file named by a command-line option atomically.

    Raises:
        UsageError: the file can't be written.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} can't be written: {error.strerror}",
            expected="a file in a folder that you may write to",
            next_step=f"ssr-edge bench {option} OTHER/{path.name}",
        ) from error
