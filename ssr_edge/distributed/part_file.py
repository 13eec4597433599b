"""A finished part as a Parquet file: its results and failures in order, and a record of inputs and engine."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from pydantic import ValidationError

from ssr_edge.inference.pipeline import Failure
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.parquet import SCHEMA
from ssr_edge.results.record import RunRecord
from ssr_edge.results.rows import fields, prediction_of

# Names are bytes, because file names need not be UTF-8. A failure has only source and reason.
_SCHEMA = SCHEMA.set(0, pyarrow.field("source", pyarrow.binary())).append(pyarrow.field("reason", pyarrow.binary()))
_RECORD = b"ssr_edge"


class PartRecord(RunRecord):
    """The run record of a part. inputs: `Part.digest`."""

    inputs: str


def to_parquet(results: Iterable[Prediction | Failure], record: PartRecord) -> bytes:
    """The content of a part's file."""
    schema = _SCHEMA.with_metadata({_RECORD: record.model_dump_json()})
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(map(_row, results)), schema), file)
    return file.getvalue()


def record_in(file: Path | bytes) -> PartRecord:
    """The record in a part. file: its path, or its content.

    Raises:
        OSError, KeyError, pyarrow.ArrowException, ValidationError: it is not a complete part.
    """
    source = io.BytesIO(file) if isinstance(file, bytes) else file
    return PartRecord.model_validate_json(pyarrow.parquet.read_schema(source).metadata[_RECORD])


def read_record(path: Path) -> PartRecord | None:
    """The record in a part's file; None if the file is missing or incomplete."""
    try:
        return record_in(path)
    except (OSError, KeyError, TypeError, pyarrow.ArrowException, ValidationError):
        return None


def read_results(path: Path) -> Iterator[Prediction | Failure]:
    """The results in a file, with the rounding of `rows`."""
    for row in pyarrow.parquet.read_table(path).to_pylist():
        source = os.fsdecode(row["source"])
        if row["reason"] is None:
            yield prediction_of(row | {"source": source})
        else:
            yield Failure(source, os.fsdecode(row["reason"]))


def _row(result: Prediction | Failure) -> dict[str, Any]:
    source = os.fsencode(result.source)
    if isinstance(result, Failure):
        return {"source": source, "reason": os.fsencode(result.reason)}
    return fields(result) | {"source": source}
