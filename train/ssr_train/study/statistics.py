"""Statistics over repeats on random splits: spread, a paired test corrected for their overlap, Holm's correction.

Why this test: ten random splits of one data set share most of their training images, so the ten differences are not
independent, and a plain paired t test (or Wilcoxon's, which also assumes independence) finds differences that do not
exist. Nadeau and Bengio ("Inference for the Generalization Error", Machine Learning 52, 2003) therefore increase the
variance by n_test / n_train. Holm (Scandinavian Journal of Statistics 6, 1979) keeps the probability of any false star
in the whole family of comparisons below the significance level.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

# Stars for p values below the usual three levels.
_STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
# A smaller spread of accuracy differences is only rounding error.
_NO_SPREAD = 1e-12


class Summary(NamedTuple):
    """Mean and sample standard deviation (ddof 1; None for a single value) over repeats."""

    mean: float
    deviation: float | None
    repeats: int


@dataclass(frozen=True)
class PairedTest:
    """Mean difference of two models over repeats, its 95 % interval and two-sided p, both corrected for overlap.

    p and interval are None if there are fewer than two repeats, or the differences have no spread.
    """

    difference: float
    interval: tuple[float, float] | None
    p: float | None


def summarize(values: Sequence[float]) -> Summary:
    """Summary of one metric over repeats [n]; n >= 1."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Summary(float(np.mean(values)), deviation, len(values))


def corrected_resampled_t(differences: Sequence[float], test_to_train: float) -> PairedTest:
    """Nadeau and Bengio's corrected resampled t test: t = mean / sqrt((1/n + test_to_train) variance), n - 1 degrees.

    differences: [n], one per repeat, n >= 1. test_to_train: ratio of test to training images of a repeat.
    """
    mean, deviation, repeats = summarize(differences)
    if deviation is None or deviation < _NO_SPREAD:
        return PairedTest(mean, None, None)
    error = deviation * float(np.sqrt(1 / repeats + test_to_train))
    reach = float(stats.t.ppf(0.975, repeats - 1)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, repeats - 1))
    return PairedTest(mean, (mean - reach, mean + reach), p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the given order."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    raised = np.maximum.accumulate(np.asarray(p_values, np.float64)[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(raised, 1.0)
    return [float(p) for p in adjusted]


def stars(p: float | None) -> str:
    """`***`, `**` or `*` for p below 0.001, 0.01 or 0.05, else an empty string."""
    return next((mark for level, mark in _STARS if p is not None and p < level), "")


def patient_scores(correct: npt.NDArray[np.bool_], patients: Sequence[str]) -> dict[str, float]:
    """Share of each patient's images that are classified correctly. correct, patients: [n].

    Their mean is Spanhol et al.'s patient recognition rate ("A Dataset for Breast Cancer Histopathological Image
    Classification", IEEE Transactions on Biomedical Engineering 63, 2016).
    """
    by_patient: dict[str, list[bool]] = defaultdict(list)
    for patient, right in zip(patients, correct.tolist(), strict=True):
        by_patient[patient].append(right)
    return {patient: float(np.mean(held)) for patient, held in by_patient.items()}
