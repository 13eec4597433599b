"""Sums predictions up by patient, or by whatever a file name says: a second, shorter table of results."""

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

    by: `patient` (from BreaKHis names), or a regular expression that is searched for in the source: its first group, or
    all it matches. ungrouped: how many images belong to no group; `ungrouped_sources` are the first of them.

    Raises:
        UsageError: the expression is not one.
    """

    def __init__(self, by: str) -> None:
        self._group_of = _patient if by == PATIENT else _matcher(by)
        self._labels: dict[str, Counter[str]] = {}
        # A row of sums: malignant, then each class.
        self._sums: dict[str, np.ndarray] = {}
        self.ungrouped = 0
        self.ungrouped_sources: list[str] = []

    def add(self, prediction: Prediction) -> None:
        """Counts an image in its group."""
        group = self._group_of(prediction.source)
        if group is None:
            self.ungrouped += 1
            if len(self.ungrouped_sources) < _NAMED:
                self.ungrouped_sources.append(prediction.source)
            return
        # Summed up as they are written, so that a resumed run, which reads some back, comes to the same sums.
        figures = np.array([round(prediction.malignant_probability, DECIMALS), *rounded(prediction)])
        self._labels.setdefault(group, Counter())[prediction.label] += 1
        self._sums[group] = self._sums.get(group, 0.0) + figures

    def __len__(self) -> int:
        return len(self._labels)

    def write(self, path: Path) -> None:
        """Writes GROUP_COLUMNS, a line a group in the order in which they were first met.

        label: of the largest mean probability, which is the confidence. majority_label: given to most images, and of
        two given to equally many the one with the larger mean. agreement: share of the images that were given it.
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
            f"--group-by {expression!r} is no regular expression: {error}",
            expected=f"{PATIENT}, or one whose first group is the name, such as '([^/]+)/[^/]+$' for the folder",
            next_step="ssr-edge infer FOLDER --group-by patient",
        ) from error

    def group_of(source: str) -> str | None:
        match = pattern.search(source)
        if match is None:
            return None
        found: str | None = match[1 if pattern.groups else 0]
        return found

    return group_of
