"""Writes predictions as Parquet, one row group at a time, so that memory does not grow with their number.

Import this module only when Parquet output is requested: without pyarrow, the import raises RuntimeUnavailable.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import IO, Any

from typing_extensions import Self

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.common.install_hint import install_hint
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.rows import fields

try:
    import pyarrow
    import pyarrow.parquet
except ImportError as error:
    raise RuntimeUnavailable(
        "pyarrow is not installed", expected="the extra 'parquet'", next_step=install_hint("parquet")
    ) from error

ROW_GROUP = 4096
SCHEMA = pyarrow.schema(
    [
        ("source", pyarrow.string()),
        ("frame", pyarrow.int32()),
        ("label", pyarrow.string()),
        ("confidence", pyarrow.float64()),
        ("malignant_probability", pyarrow.float64()),
        ("flags", pyarrow.list_(pyarrow.string())),
        *((f"p_{label}", pyarrow.float64()) for label in CLASSES),
        ("latency_ms", pyarrow.float64()),
        ("seconds", pyarrow.float64()),
        *((name, pyarrow.int32()) for name in ("x", "y", "width", "height")),
    ]
)


class ParquetWriter:
    """Writes the columns of the CSV, typed; flags are a list of strings.

    Use it as a context manager: the footer, without which the file is unreadable, is written on exit. Parquet's strings
    are UTF-8: a byte of a file name that is not UTF-8 is written as four characters, `\\xe9`.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._writer = pyarrow.parquet.ParquetWriter(file, SCHEMA)
        self._rows: list[dict[str, Any]] = []

    def write(self, prediction: Prediction) -> None:
        """Adds a row; rows are written to the file in groups of ROW_GROUP."""
        source = os.fsencode(prediction.source).decode("utf-8", "backslashreplace")
        self._rows.append(fields(prediction) | {"source": source})
        if len(self._rows) == ROW_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        self._writer.write_table(pyarrow.Table.from_pylist(self._rows, SCHEMA))
        self._rows.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rows:
            self._write_group()
        self._writer.close()
