"""A finished part as a Parquet file: its results in order, failures among them, and what they were made of and with."""

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

# Names as bytes, because a file's name need not be UTF-8; a failure has a source and a reason and nothing else.
_SCHEMA = SCHEMA.set(0, pyarrow.field("source", pyarrow.binary())).append(pyarrow.field("reason", pyarrow.binary()))
_RECORD = b"ssr_edge"


class PartRecord(RunRecord):
    """What made a part. inputs: `Part.digest`."""

    inputs: str


def to_parquet(results: Iterable[Prediction | Failure], record: PartRecord) -> bytes:
    """The whole file of a part."""
    schema = _SCHEMA.with_metadata({_RECORD: record.model_dump_json()})
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(map(_row, results)), schema), file)
    return file.getvalue()


def record_in(file: Path | bytes) -> PartRecord:
    """What made a part. file: its path, or its content.

    Raises:
        OSError, KeyError, pyarrow.ArrowException, ValidationError: it is not a whole part.
    """
    source = io.BytesIO(file) if isinstance(file, bytes) else file
    return PartRecord.model_validate_json(pyarrow.parquet.read_schema(source).metadata[_RECORD])


def read_record(path: Path) -> PartRecord | None:
    """What made the part in a file; None where there is no file, or not a whole one."""
    try:
        return record_in(path)
    except (OSError, KeyError, TypeError, pyarrow.ArrowException, ValidationError):
        return None


def read_results(path: Path) -> Iterator[Prediction | Failure]:
    """The results in a file, as they went into it as far as `rows` rounds them."""
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
