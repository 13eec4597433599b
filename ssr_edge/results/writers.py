"""Writes predictions as they arrive: CSV or JSON lines to files, CSV to stdout, Parquet through its own module."""

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
from ssr_edge.common.files import cannot_write
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.rows import COLUMNS, NAMES, fields, write_row

STDOUT = "-"
PARQUET = ".parquet"
# Formats of one line per result, which can be resumed after a kill.
LINES = (".csv", ".jsonl")


class Writer(Protocol):
    """Writes predictions in order."""

    def write(self, prediction: Prediction) -> None:
        """Adds a prediction."""


class CsvWriter:
    """Writes CSV with the columns of `rows.COLUMNS`; flags are joined by spaces. header: whether to write one."""

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
    """Writes the same fields as one JSON object per line; flags are a list."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, prediction: Prediction) -> None:
        """Adds a line."""
        self._file.write(json.dumps(fields(prediction)) + "\n")


def check_outputs(outputs: list[str]) -> None:
    """Checks the formats of a run's outputs before any work is done.

    Raises:
        UsageError: an unknown suffix. RuntimeUnavailable: Parquet output without pyarrow.
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
    """Opens an output. Closing `files` completes it and waits until it is on disk. goes_on: appends to the file.

    Raises:
        UsageError: the output can't be written.
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
    """Maps an OSError inside the block to the error that names the output `path`.

    Raises:
        UsageError: an OSError was raised inside the block.
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error, "ssr-edge infer FOLDER -o OTHER/predictions.csv") from error


@contextmanager
def open_lines(path: Path, goes_on: bool) -> Iterator[TextIO]:
    """Opens a text file with line buffering: when a run is killed, every completed line is in the file."""
    with to_the_disk(path.open("a" if goes_on else "w", 1, "utf-8", NAMES, newline="")) as file:
        yield file


@contextmanager
def to_the_disk(file: IO[Any]) -> Iterator[Any]:
    """Closes a file at the end of the block, after waiting until its content is on disk (fsync)."""
    with file:
        yield file
        file.flush()
        # fsync fails for a pipe or a terminal.
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            os.fsync(file.fileno())


def _suffix(output: str) -> str:
    return Path(output).suffix.lower()


def _stdout() -> TextIO:
    if isinstance(sys.stdout, TextIOWrapper):
        # Line buffering in a pipe too.
        sys.stdout.reconfigure(encoding="utf-8", errors=NAMES, line_buffering=True)
    return sys.stdout
