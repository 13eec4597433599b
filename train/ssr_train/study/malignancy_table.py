"""Benign or malignant, of the same eight-class networks: what a split by patient can still be judged by."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from ssr_edge.evaluation.bootstrap import Interval, ratio_interval
from ssr_edge.evaluation.metrics import IS_MALIGNANT
from ssr_train.data.splits import SplitKind
from ssr_train.study.captions import caveats, model_name, with_interval
from ssr_train.study.outcomes import Outcome, Study
from ssr_train.study.plan import Cell
from ssr_train.study.predictions import Predictions
from ssr_train.study.statistics import summarize
from ssr_train.study.table import Table, Value

_SIDES = {"sensitivity": True, "specificity": False}
_METHOD = (
    "A predicted class counts as its side, benign or malignant. Sensitivity: the share of malignant images that are "
    "called malignant; specificity: of benign images called benign. Mean ± sample standard deviation over seeds, with "
    "a 95 % bootstrap interval that draws patients instead of images."
)


def malignancy_table(study: Study, split: SplitKind) -> Table:
    """Sensitivity and specificity by model and magnification, with intervals by patient."""
    rows, records = [], []
    for magnification in study.plan.magnifications:
        for model in study.plan.models:
            outcomes = study.outcomes.get(Cell(model, split, magnification), {})
            row = [f"{magnification}X", model_name(model, study.plan)]
            record: dict[str, Value] = {
                "split": split,
                "magnification": magnification,
                "arch": model.arch,
                "recipe": model.recipe,
                "seeds": len(outcomes),
            }
            for name, malignant in _SIDES.items():
                shares, interval = side_figures(outcomes, malignant)
                found = summarize(shares) if shares else None
                text, columns_of = with_interval(name, found, interval, study.plan.seeds)
                row.append(text)
                record |= columns_of
            rows.append(row)
            records.append(record)
    columns = ["", "model", *_SIDES]
    title = f"Benign or malignant, split by {split}"
    return Table(f"malignancy-{split}", title, columns, rows, records, [*caveats(study), _METHOD])


def side_figures(outcomes: dict[int, Outcome], malignant: bool) -> tuple[list[float], Interval | None]:
    """Of each seed the share of one side's images that are told to be of it, and the interval of their mean.

    A seed whose test images have none of the side is left out; the interval is None where all have none.
    """
    counted = [_by_patient(outcome.predictions, malignant) for outcome in outcomes.values()]
    counted = [(told, images) for told, images in counted if images]
    if not counted:
        return [], None
    patients = sorted({patient for _, images in counted for patient in images})
    parts, wholes = np.zeros((2, len(counted), len(patients)))
    for row, (told, images) in enumerate(counted):
        parts[row] = [told[patient] for patient in patients]
        wholes[row] = [images[patient] for patient in patients]
    return (parts.sum(axis=1) / wholes.sum(axis=1)).tolist(), ratio_interval(parts, wholes)


def _by_patient(shown: Predictions, malignant: bool) -> tuple[Counter[str], Counter[str]]:
    """How many of each patient's images of this side are told to be of it, and how many there are."""
    of_side: npt.NDArray[np.bool_] = IS_MALIGNANT[shown.truth] == malignant
    told = of_side & (IS_MALIGNANT[shown.predicted] == malignant)
    patients = np.array(shown.patients)
    return Counter(patients[told].tolist()), Counter(patients[of_side].tolist())
