"""Reads results of a killed run back, up to its last complete line: each record with its end offset in bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

from ssr_edge.common.errors import UsageError
from ssr_edge.inference.pipeline import Failure
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.rows import COLUMNS, NAMES, prediction_of

FAILURE_COLUMNS = ("source", "reason")
# Pairs of record and end offset; the header of a CSV comes first, as None.
Records = Generator[tuple[Prediction | Failure | None, int], None, None]


def read_predictions(path: Path) -> Records:
    """Yields predictions, each with its end offset, up to the first incomplete line. A missing file has none.

    Raises:
        UsageError: the file does not start with results.
    """
    if path.suffix.lower() == ".jsonl":
        return _read_json_lines(path)
    return _read_csv(path, COLUMNS, _prediction)


def read_failures(path: Path) -> Records:
    """Like `read_predictions`, for the list of inputs that failed."""
    return _read_csv(path, FAILURE_COLUMNS, lambda values: Failure(*values))


def _read_csv(path: Path, columns: Sequence[str], make: Callable[[list[str]], Prediction | Failure]) -> Records:
    if not path.exists():
        return
    end = 0
    with path.open("rb") as file:
        for number, line in enumerate(_whole_records(file)):
            try:
                (values,) = csv.reader(io.StringIO(line.decode("utf-8", NAMES), newline=""))
                if number == 0 and tuple(values) != tuple(columns):
                    raise _no_results(path)
                if len(values) != len(columns):
                    return
                record = make(values) if number else None
            except (csv.Error, ValueError):
                return
            end += len(line)
            yield record, end


def _whole_records(file: io.BufferedReader) -> Iterator[bytes]:
    """Splits CSV into records: a line break ends a record unless it is quoted, as part of a file name."""
    record = b""
    for line in file:
        record += line
        if record.endswith(b"\n") and record.count(b'"') % 2 == 0:
            yield record
            record = b""


def _prediction(values: list[str]) -> Prediction:
    named = dict(zip(COLUMNS, values, strict=True))
    return prediction_of(named | {"flags": named["flags"].split()})


def _read_json_lines(path: Path) -> Records:
    if not path.exists():
        return
    end = 0
    with path.open("rb") as file:
        for line in file:
            try:
                record = prediction_of(json.loads(line))
            except (KeyError, TypeError, ValueError):
                if end == 0 and line.endswith(b"\n"):
                    raise _no_results(path) from None
                return
            if not line.endswith(b"\n"):
                return
            end += len(line)
            yield record, end


def _no_results(path: Path) -> UsageError:
    return UsageError(
        f"{path} does not contain results of ssr-edge infer",
        expected="the output file of the run to resume",
        next_step="ssr-edge infer SOURCE -o OTHER.csv  (starts a new run)",
    )
