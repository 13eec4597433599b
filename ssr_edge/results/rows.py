"""Converts a prediction to the fields of a line and back: the single definition of columns and rounding."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import numpy as np

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.inference.prediction import Prediction
from ssr_edge.sources.inputs import Region

# A tile's position in its slide; empty for other inputs.
_REGION = ("x", "y", "width", "height")
COLUMNS = (
    *("source", "frame", "label", "confidence", "malignant_probability", "flags"),
    *(f"p_{label}" for label in CLASSES),
    *("latency_ms", "seconds"),
    *_REGION,
)
DECIMALS = 6
# File names are bytes and need not be UTF-8; with this error handler they are written unchanged.
NAMES = "surrogateescape"


def fields(prediction: Prediction) -> dict[str, Any]:
    """The values of COLUMNS, in order; probabilities are rounded to DECIMALS places, flags are a list."""
    return {
        "source": prediction.source,
        "frame": prediction.frame,
        "label": prediction.label,
        "confidence": round(prediction.confidence, DECIMALS),
        "malignant_probability": round(prediction.malignant_probability, DECIMALS),
        "flags": list(prediction.flags),
        **{f"p_{label}": p for label, p in zip(CLASSES, rounded(prediction), strict=True)},
        "latency_ms": round(prediction.latency_ms, 3),
        "seconds": None if prediction.seconds is None else round(prediction.seconds, 3),
        **{name: getattr(prediction.region, name, None) for name in _REGION},
    }


def prediction_of(values: Mapping[str, Any]) -> Prediction:
    """The inverse of `fields`, except for rounding. values: numbers may be strings, as CSV has them.

    Raises:
        KeyError, TypeError, ValueError: these are not the values of a prediction.
    """
    if values["label"] not in CLASSES:
        raise ValueError(f"unknown class {values['label']}")
    return Prediction(
        source=str(values["source"]),
        frame=int(values["frame"]),
        label=values["label"],
        confidence=float(values["confidence"]),
        malignant_probability=float(values["malignant_probability"]),
        flags=tuple(values["flags"]),
        probabilities=np.array([float(values[f"p_{label}"]) for label in CLASSES], np.float32),
        latency_ms=float(values["latency_ms"]),
        # CSV has no None.
        seconds=None if values["seconds"] in (None, "") else float(values["seconds"]),
        region=None if values["x"] in (None, "") else Region(*(int(values[name]) for name in _REGION)),
    )


def rounded(prediction: Prediction) -> list[float]:
    """A prediction's probabilities, rounded as in every output; equal for a new prediction and one read back."""
    return [round(float(p), DECIMALS) for p in prediction.probabilities]


def write_row(file: TextIO, values: Sequence[object]) -> None:
    """Adds one line of CSV."""
    # A carriage return in a file name must be quoted; before Python 3.13, csv does so only if it is the line
    # terminator.
    if any("\r" in str(value) for value in values):
        csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(values)
    else:
        csv.writer(file, lineterminator="\n").writerow(values)
