"""Aggregates predictions by patient, or by any part of the file name, into a second table of results."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ssr_edge.breakhis.names import CLASSES, parse_name
from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import replacing
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.rows import DECIMALS, NAMES, rounded, write_row

PATIENT = "patient"
GROUP_COLUMNS = (
    *("group", "images", "label", "confidence", "majority_label", "agreement", "malignant_probability"),
    *(f"p_{label}" for label in CLASSES),
)
_NAMED = 10


class Groups:
    """Running sums by group; memory grows with the number of groups, not of images.

    by: `patient` (from BreaKHis names), or a regular expression that is searched in the source; the group's name is its
    first capture group, or without one the whole match. ungrouped: number of images without a group. ungrouped_sources:
    the first ten of them.

    Raises:
        UsageError: the regular expression is invalid.
    """

    def __init__(self, by: str) -> None:
        self._group_of = _patient if by == PATIENT else _matcher(by)
        self._labels: dict[str, Counter[str]] = {}
        # Sums of the malignant probability, then of each class's.
        self._sums: dict[str, np.ndarray] = {}
        self.ungrouped = 0
        self.ungrouped_sources: list[str] = []

    def add(self, prediction: Prediction) -> None:
        """Adds an image to its group."""
        group = self._group_of(prediction.source)
        if group is None:
            self.ungrouped += 1
            if len(self.ungrouped_sources) < _NAMED:
                self.ungrouped_sources.append(prediction.source)
            return
        # Rounded as in the outputs, so that a resumed run, which reads some predictions back, gets the same sums.
        figures = np.array([round(prediction.malignant_probability, DECIMALS), *rounded(prediction)])
        self._labels.setdefault(group, Counter())[prediction.label] += 1
        self._sums[group] = self._sums.get(group, 0.0) + figures

    def __len__(self) -> int:
        return len(self._labels)

    def write(self, path: Path) -> None:
        """Writes the table as CSV with GROUP_COLUMNS, one row per group, in order of first appearance.

        label: the class with the largest mean probability. confidence: that probability. majority_label: the label of
        most images; a tie goes to the larger mean probability. agreement: share of the images with majority_label.
        """
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors=NAMES, newline="") as file:
            write_row(file, GROUP_COLUMNS)
            for group, labels in self._labels.items():
                write_row(file, self._row(group, labels))

    def _row(self, group: str, labels: Counter[str]) -> list[object]:
        images = labels.total()
        malignant, *means = (self._sums[group] / images).tolist()
        mean_of = dict(zip(CLASSES, means, strict=True))
        best = max(mean_of, key=lambda label: mean_of[label])
        majority = max(labels, key=lambda label: (labels[label], mean_of[label]))
        figures = [round(figure, DECIMALS) for figure in (labels[majority] / images, malignant, *means)]
        return [group, images, best, round(mean_of[best], DECIMALS), majority, *figures]


def _patient(source: str) -> str | None:
    name = parse_name(source)
    return None if name is None else name.patient


def _matcher(expression: str) -> Callable[[str], str | None]:
    try:
        pattern = re.compile(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"--group-by {expression!r} is not a valid regular expression: {error}",
            expected=f"{PATIENT}, or a regular expression for the name, such as '([^/]+)/[^/]+$' for the folder's",
            next_step="ssr-edge infer FOLDER --group-by patient",
        ) from error

    def group_of(source: str) -> str | None:
        match = pattern.search(source)
        if match is None:
            return None
        found: str | None = match[1 if pattern.groups else 0]
        return found

    return group_of
