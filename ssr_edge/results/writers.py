"""Writes predictions as they come: CSV and JSON lines to files, CSV to stdout, Parquet through its own module."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, Protocol, TextIO

from ssr_edge.common.errors import UsageError
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.rows import COLUMNS, NAMES, fields, write_row

STDOUT = "-"
PARQUET = ".parquet"
# What ends in whole lines can be gone on with after a kill.
LINES = (".csv", ".jsonl")


class Writer(Protocol):
    """Writes one prediction after another."""

    def write(self, prediction: Prediction) -> None:
        """Adds one."""


class CsvWriter:
    """design section 7's `predictions.csv`; flags are joined by spaces."""

    def __init__(self, file: TextIO, header: bool) -> None:
        self._file = file
        if header:
            write_row(file, COLUMNS)

    def write(self, prediction: Prediction) -> None:
        """Adds a row."""
        values = fields(prediction)
        values["flags"] = " ".join(prediction.flags)
        write_row(self._file, list(values.values()))


class JsonLinesWriter:
    """The same fields, an object a line; flags are a list."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, prediction: Prediction) -> None:
        """Adds a line."""
        self._file.write(json.dumps(fields(prediction)) + "\n")


def check_outputs(outputs: list[str]) -> None:
    """Refuses what can't be written, before any work is done.

    Raises:
        UsageError: a suffix that is not known. RuntimeUnavailable: Parquet without its package.
    """
    for output in outputs:
        if output != STDOUT and _suffix(output) not in (*LINES, PARQUET):
            raise UsageError(
                f"{output} has no known result format",
                expected=f"a name that ends in {', '.join(LINES)} or {PARQUET}, or - for stdout",
                next_step="ssr-edge infer FOLDER -o predictions.csv",
            )
        if _suffix(output) == PARQUET:
            import ssr_edge.results.parquet  # noqa: F401


def open_writer(output: str, goes_on: bool, files: ExitStack) -> Writer:
    """Opens an output, to add to it or to begin it anew; leaving `files` completes it and brings it to the disk.

    Raises:
        UsageError: it can't be written.
    """
    if output == STDOUT:
        return CsvWriter(_stdout(), header=True)
    path = Path(output)
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if _suffix(output) == PARQUET:
            from ssr_edge.results.parquet import ParquetWriter

            return files.enter_context(ParquetWriter(files.enter_context(to_the_disk(path.open("wb")))))
        file = files.enter_context(open_lines(path, goes_on))
        if _suffix(output) == ".jsonl":
            return JsonLinesWriter(file)
        return CsvWriter(file, header=not goes_on or path.stat().st_size == 0)


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Says in words that a file can't be begun.

    Raises:
        UsageError: an OSError inside the block.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{path} can't be written: {(error.strerror or str(error)).lower()}",
            expected="a folder that you may write to",
            next_step="ssr-edge infer FOLDER -o OTHER/predictions.csv",
        ) from error


@contextmanager
def open_lines(path: Path, goes_on: bool) -> Iterator[TextIO]:
    """Opens a text file for whole lines: whatever is finished when a run is killed is in the file."""
    with to_the_disk(path.open("a" if goes_on else "w", 1, "utf-8", NAMES, newline="")) as file:
        yield file


@contextmanager
def to_the_disk(file: IO[Any]) -> Iterator[Any]:
    """Closes a file in the end, and returns only when the disk has it."""
    with file:
        yield file
        file.flush()
        # A pipe or a terminal has no disk.
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            os.fsync(file.fileno())


def _suffix(output: str) -> str:
    return Path(output).suffix.lower()


def _stdout() -> TextIO:
    if isinstance(sys.stdout, TextIOWrapper):
        # Lines as they come, in a pipe too.
        sys.stdout.reconfigure(encoding="utf-8", errors=NAMES, line_buffering=True)
    return sys.stdout
