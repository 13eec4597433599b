"""Writes predictions as they come: CSV, JSON lines, and the list of inputs that failed."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Protocol, TextIO

from typing_extensions import Self

from ssr_edge.breakhis import CLASSES
from ssr_edge.decide import Prediction
from ssr_edge.errors import UsageError
from ssr_edge.pipeline import Failure

COLUMNS = (
    *("source", "frame", "label", "confidence", "malignant_probability", "flags"),
    *(f"p_{label}" for label in CLASSES),
    *("latency_ms", "x", "y", "width", "height"),
)
# A file name is bytes, and need not be UTF-8: whatever it is, it is written as it was found.
_NAMES = "surrogateescape"


class Writer(Protocol):
    """Writes one prediction as one whole line."""

    def write(self, prediction: Prediction) -> None:
        """Adds a line."""


class CsvWriter:
    """`predictions.csv`; flags are joined by spaces, and an image has no x, y, width and height: a slide's tile has."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        _write_row(file, COLUMNS)

    def write(self, prediction: Prediction) -> None:
        """Adds a row."""
        values = _fields(prediction)
        values["flags"] = " ".join(prediction.flags)
        _write_row(self._file, [values[column] for column in COLUMNS])


class JsonLinesWriter:
    """The same fields, an object a line; flags are a list, and what an image has not is null."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, prediction: Prediction) -> None:
        """Adds a line."""
        self._file.write(json.dumps(_fields(prediction)) + "\n")


_WRITERS: dict[str, type[CsvWriter | JsonLinesWriter]] = {".csv": CsvWriter, ".jsonl": JsonLinesWriter}


class Results:
    """Takes every result of a run: writes it to each output, counts it, and lists the failures beside the first.

    outputs: files whose suffix says the format, `-` is CSV on stdout. failures: `<first output>.failed.csv`, written
    only when something failed.

    Raises:
        UsageError: a suffix that says no known format, or a file that can't be written.
    """

    def __init__(self, outputs: list[str]) -> None:
        self._files = ExitStack()
        self._writers = [self._open(output) for output in outputs]
        # Where files that a run makes besides its outputs have their place and the beginning of their name.
        self.first_output = Path(next((output for output in outputs if output != "-"), "predictions.csv"))
        self.failures_file = self.first_output.with_suffix(".failed.csv")
        self.failures_file.unlink(missing_ok=True)
        self.failures: list[Failure] = []
        self.counts: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self._confidence: dict[str, float] = defaultdict(float)

    def add(self, result: Prediction | Failure) -> None:
        """Writes one result."""
        if isinstance(result, Failure):
            self.failures.append(result)
            return
        for writer in self._writers:
            writer.write(result)
        self.counts[result.label] += 1
        self.flags.update(result.flags)
        self._confidence[result.label] += result.confidence

    def mean_confidence(self, label: str) -> float:
        """Mean confidence of the images given a label."""
        return self._confidence[label] / self.counts[label]

    def _open(self, output: str) -> Writer:
        if output == "-":
            if isinstance(sys.stdout, TextIOWrapper):
                sys.stdout.reconfigure(errors=_NAMES)
            return CsvWriter(sys.stdout)
        kind = _WRITERS.get(Path(output).suffix.lower())
        if kind is None:
            raise UsageError(
                f"{output} has no known result format",
                expected="a name that ends in " + " or ".join(_WRITERS) + ", or - for stdout",
                next_step="ssr-edge infer FOLDER -o predictions.csv",
            )
        try:
            path = Path(output)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Line buffering: whatever is finished when a run is killed is in the file.
            file = self._files.enter_context(path.open("w", 1, "utf-8", _NAMES, newline=""))
        except OSError as error:
            raise UsageError(
                f"{output} can't be written: {error.strerror}",
                expected="a folder that you may write to",
                next_step="ssr-edge infer FOLDER -o OTHER/predictions.csv",
            ) from error
        return kind(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.failures:
            with self.failures_file.open("w", newline="", encoding="utf-8", errors=_NAMES) as file:
                _write_row(file, ["source", "reason"])
                for failure in self.failures:
                    _write_row(file, [failure.source, failure.reason])
        self._files.close()


def _write_row(file: TextIO, values: Sequence[object]) -> None:
    # A carriage return in a file name must be quoted; before Python 3.13 csv does so only when it ends lines too.
    if any("\r" in str(value) for value in values):
        csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(values)
    else:
        csv.writer(file, lineterminator="\n").writerow(values)


def _fields(prediction: Prediction) -> dict[str, object]:
    probabilities = {
        f"p_{label}": round(float(p), 6) for label, p in zip(CLASSES, prediction.probabilities, strict=True)
    }
    return {
        "source": prediction.source,
        "frame": prediction.frame,
        "label": prediction.label,
        "confidence": round(prediction.confidence, 6),
        "malignant_probability": round(prediction.malignant_probability, 6),
        "flags": list(prediction.flags),
        **probabilities,
        "latency_ms": round(prediction.latency_ms, 3),
        **{name: getattr(prediction.region, name, None) for name in ("x", "y", "width", "height")},
    }
