"""Sensitivity and specificity for malignancy of the eight-class networks, which a split by patient can estimate."""

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

_GROUPS = {"sensitivity": True, "specificity": False}
_METHOD = (
    "Predicted classes are grouped into benign and malignant. Sensitivity: share of malignant images predicted as "
    "malignant; specificity: share of benign images predicted as benign. Mean ± sample standard deviation over seeds, "
    "with a 95 % bootstrap interval that resamples patients instead of images."
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
            for name, malignant in _GROUPS.items():
                shares, interval = group_shares(outcomes, malignant)
                found = summarize(shares) if shares else None
                text, columns_of = with_interval(name, found, interval, study.plan.seeds)
                row.append(text)
                record |= columns_of
            rows.append(row)
            records.append(record)
    columns = ["", "model", *_GROUPS]
    title = f"Benign or malignant, split by {split}"
    return Table(f"malignancy-{split}", title, columns, rows, records, [*caveats(study), _METHOD])


def group_shares(outcomes: dict[int, Outcome], malignant: bool) -> tuple[list[float], Interval | None]:
    """Share of malignant (or benign) images predicted as such for each seed, and the interval of the mean.

    Seeds without such test images are left out; the interval is None if no seed is left.
    """
    counted = [_by_patient(outcome.predictions, malignant) for outcome in outcomes.values()]
    counted = [(correct, images) for correct, images in counted if images]
    if not counted:
        return [], None
    patients = sorted({patient for _, images in counted for patient in images})
    parts, wholes = np.zeros((2, len(counted), len(patients)))
    for row, (correct, images) in enumerate(counted):
        parts[row] = [correct[patient] for patient in patients]
        wholes[row] = [images[patient] for patient in patients]
    return (parts.sum(axis=1) / wholes.sum(axis=1)).tolist(), ratio_interval(parts, wholes)


def _by_patient(shown: Predictions, malignant: bool) -> tuple[Counter[str], Counter[str]]:
    """Correctly predicted malignant (or benign) images of each patient, and all of them."""
    of_group: npt.NDArray[np.bool_] = IS_MALIGNANT[shown.truth] == malignant
    correct = of_group & (IS_MALIGNANT[shown.predicted] == malignant)
    patients = np.array(shown.patients)
    return Counter(patients[correct].tolist()), Counter(patients[of_group].tolist())
