"""Compares every two models at every magnification, paired by seed, with Holm's correction over all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ssr_train.data.splits import SplitKind
from ssr_train.study.outcomes import Outcome, Study
from ssr_train.study.plan import Cell, Model
from ssr_train.study.statistics import PairedTest, corrected_resampled_t, holm


@dataclass(frozen=True)
class Comparison:
    """Accuracy of `first` - `second`. seeds: common repeats with the same split. p_holm: adjusted p."""

    magnification: int
    first: Model
    second: Model
    seeds: int
    test: PairedTest | None
    p_holm: float | None = None


def compare(study: Study, split: SplitKind) -> list[Comparison]:
    """Every pair of models at every magnification for one kind of split: one family of comparisons.

    Comparisons that can't be tested (too few seeds, no spread) have no p and are not part of the correction.
    """
    pairs = list(combinations(study.plan.models, 2))
    every = [_compare(study, split, at, first, second) for at in study.plan.magnifications for first, second in pairs]
    p_values = [c.test.p for c in every if c.test is not None and c.test.p is not None]
    adjusted = iter(holm(p_values))
    return [replace(c, p_holm=next(adjusted)) if c.test is not None and c.test.p is not None else c for c in every]


def _compare(study: Study, split: SplitKind, magnification: int, first: Model, second: Model) -> Comparison:
    ours, theirs = (study.outcomes.get(Cell(model, split, magnification), {}) for model in (first, second))
    # If the folder of images changed between two runs, their splits differ and they can't be paired.
    paired = [
        (ours[seed], theirs[seed])
        for seed in ours
        if seed in theirs and ours[seed].split_sha256 == theirs[seed].split_sha256
    ]
    if not paired:
        return Comparison(magnification, first, second, 0, None)
    differences = [one.metrics.accuracy - other.metrics.accuracy for one, other in paired]
    test_to_train = float(np.mean([_test_to_train(one) for one, _ in paired]))
    return Comparison(magnification, first, second, len(paired), corrected_resampled_t(differences, test_to_train))


def _test_to_train(outcome: Outcome) -> float:
    return outcome.parts["test"] / outcome.parts["train"]
