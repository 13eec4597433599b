"""Gathers the results of a study so far: the metrics of finished runs and the reasons of failed runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssr_edge.common.errors import DataError
from ssr_edge.evaluation.bootstrap import Interval, ratio_interval
from ssr_edge.evaluation.metrics import Metrics, measure
from ssr_train.data.splits import Split
from ssr_train.study.grid import FAILURE
from ssr_train.study.plan import RUNS, Cell, RunSpec, StudyPlan
from ssr_train.study.predictions import PREDICTIONS, Predictions
from ssr_train.study.statistics import Summary, patient_scores, summarize


@dataclass(frozen=True)
class Outcome:
    """A finished run. split_sha256: fingerprint of its split. parts: number of images in train, val and test."""

    run: RunSpec
    predictions: Predictions
    metrics: Metrics
    split_sha256: str
    parts: dict[str, int]

    @property
    def patient_rate(self) -> float:
        """Patient recognition rate on the test images (`statistics.patient_scores`)."""
        scores = patient_scores(self.predictions.correct, self.predictions.patients)
        return float(np.mean(list(scores.values())))


@dataclass(frozen=True)
class Study:
    """A plan and its results. outcomes: of each cell, by seed. failures: name of the run -> reason."""

    plan: StudyPlan
    outcomes: dict[Cell, dict[int, Outcome]]
    failures: dict[str, str]

    @property
    def done(self) -> int:
        """Number of finished runs."""
        return sum(len(by_seed) for by_seed in self.outcomes.values())

    def summary(self, cell: Cell, figure: Callable[[Outcome], float]) -> Summary | None:
        """Mean and deviation of a metric over the seeds of a cell; None if no run is finished."""
        found = self.outcomes.get(cell)
        return summarize([figure(outcome) for outcome in found.values()]) if found else None


def gather(plan: StudyPlan, folder: Path) -> Study:
    """Reads the predictions of all finished runs of the plan."""
    outcomes: dict[Cell, dict[int, Outcome]] = defaultdict(dict)
    failures = {}
    for run in plan.runs():
        place = folder / RUNS / run.name
        try:
            if (place / PREDICTIONS).exists():
                outcomes[run.cell][run.seed] = _outcome(run, place)
            elif (place / FAILURE).exists():
                failures[run.name] = (place / FAILURE).read_text(encoding="utf-8").strip()
        except DataError as error:
            failures[run.name] = error.found
    return Study(plan, dict(outcomes), failures)


def image_interval(outcomes: dict[int, Outcome]) -> Interval:
    """95 % interval of accuracy by image, averaged over seeds; resamples patients with all their images."""
    return _interval(outcomes, lambda share, images: (share * images, images))


def patient_interval(outcomes: dict[int, Outcome]) -> Interval:
    """95 % interval of the patient recognition rate, averaged over seeds; resamples patients."""
    return _interval(outcomes, lambda share, images: (share, 1.0))


def _interval(outcomes: dict[int, Outcome], adds: Callable[[float, int], tuple[float, float]]) -> Interval:
    """adds: the terms of the numerator and denominator for the score and the number of images of a patient."""
    patients = sorted({patient for outcome in outcomes.values() for patient in outcome.predictions.patients})
    parts, wholes = np.zeros((2, len(outcomes), len(patients)))
    for row, outcome in enumerate(outcomes.values()):
        shown = outcome.predictions
        images = Counter(shown.patients)
        for patient, share in patient_scores(shown.correct, shown.patients).items():
            column = patients.index(patient)
            parts[row, column], wholes[row, column] = adds(share, images[patient])
    return ratio_interval(parts, wholes)


def _outcome(run: RunSpec, place: Path) -> Outcome:
    predictions = Predictions.read(place / PREDICTIONS)
    split = Split.read(place / "split.csv")
    return Outcome(
        run=run,
        predictions=predictions,
        metrics=measure(predictions.truth, predictions.predicted),
        split_sha256=split.sha256,
        parts=dict(Counter(split.parts.values())),
    )
