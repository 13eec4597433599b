"""Statistics against values computed by hand, against scipy, and against invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ssr_train.study.statistics import corrected_resampled_t, holm, patient_scores, stars, summarize

accuracies = st.floats(0, 1)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30)
# Accuracies on 355 test images: as far apart as real ones, so that no spread is a rounding error.
differences = st.lists(st.integers(-355, 355).map(lambda images: images / 355), min_size=2, max_size=12)


def test_the_deviation_is_the_samples() -> None:
    mean, deviation, repeats = summarize([0.9, 0.92, 0.97])
    assert mean == pytest.approx(0.93)
    assert deviation == pytest.approx(0.0360555)
    assert repeats == 3
    assert summarize([0.9]) == (0.9, None, 1)


def test_the_corrected_test_by_hand() -> None:
    # Mean 0.02, variance 0.0004 / 3, 1/4 + 18/70 = 0.507143: t = 0.02 / sqrt(0.0000676) = 2.4321, three degrees.
    found = corrected_resampled_t([0.01, 0.01, 0.03, 0.03], 18 / 70)
    assert found.p == pytest.approx(0.0931, abs=1e-4)
    assert found.difference == pytest.approx(0.02)
    assert found.interval is not None
    # 3.1824 is the 97.5 % point of t with three degrees.
    assert found.interval[1] - 0.02 == pytest.approx(3.1824 * 0.02 / 2.4321, abs=1e-4)


@given(differences)
def test_without_overlap_it_is_scipys_paired_t_test(values: list[float]) -> None:
    found = corrected_resampled_t(values, 0.0)
    if np.ptp(values) == 0:
        assert found.p is None
    else:
        assert found.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=1e-9)


@given(differences, st.floats(0.01, 1))
def test_overlap_never_lowers_p_and_the_interval_agrees_with_p(values: list[float], ratio: float) -> None:
    plain, corrected = corrected_resampled_t(values, 0.0), corrected_resampled_t(values, ratio)
    if corrected.p is None or corrected.interval is None or plain.p is None:
        assert corrected == plain
        return
    assert corrected.p >= plain.p
    low, high = corrected.interval
    assert low <= corrected.difference <= high
    if abs(corrected.p - 0.05) > 1e-9:
        assert (corrected.p < 0.05) == (low > 0 or high < 0)
    mirrored = corrected_resampled_t([-value for value in values], ratio)
    assert mirrored.p == pytest.approx(corrected.p)


@pytest.mark.parametrize("values", [[0.02], [0.02, 0.02], [0.3 - 0.2, 0.1, 0.9 - 0.8]])
def test_one_repeat_or_no_spread_proves_nothing(values: list[float]) -> None:
    found = corrected_resampled_t(values, 0.25)
    assert (found.p, found.interval) == (None, None)
    assert found.difference == pytest.approx(values[0])


def test_random_splits_that_overlap_fool_the_plain_test_more_often_than_the_corrected_one() -> None:
    # Two "models" whose mistakes are coin tosses on the same 200 images: neither is better. Ten random splits of them.
    rng = np.random.default_rng(0)
    false_alarms = np.zeros(2)
    for _ in range(300):
        better = rng.choice([-1, 0, 1], 200, p=[0.1, 0.8, 0.1])
        values = [float(better[rng.permutation(200)[:50]].mean()) for _ in range(10)]
        for column, ratio in enumerate((0.0, 50 / 150)):
            p = corrected_resampled_t(values, ratio).p
            false_alarms[column] += p is not None and p < 0.05
    plain, corrected = false_alarms / 300
    assert plain > 0.25
    assert corrected < 0.1


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04, times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.04, and never falling.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.2]) == [0.2]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(p_values)
def test_holm_is_no_smaller_keeps_order_and_lies_under_bonferroni(values: list[float]) -> None:
    adjusted = holm(values)
    for p, q in zip(values, adjusted, strict=True):
        assert p <= q <= min(1.0, p * len(values)) or q == pytest.approx(min(1.0, p * len(values)))
    assert np.all(np.diff(np.array(adjusted)[np.argsort(values, kind="stable")]) >= 0)
    assert min(adjusted) == pytest.approx(min(1.0, min(values) * len(values)))


@pytest.mark.parametrize(
    ("p", "mark"), [(0.0009, "***"), (0.001, "**"), (0.0099, "**"), (0.01, "*"), (0.049, "*"), (0.05, ""), (None, "")]
)
def test_stars(p: float | None, mark: str) -> None:
    assert stars(p) == mark


def test_a_patients_score_is_the_share_of_its_images() -> None:
    scores = patient_scores(np.array([True, False, True, True]), ["a", "a", "b", "a"])
    assert scores == {"a": pytest.approx(2 / 3), "b": 1.0}


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcde")), min_size=1, max_size=60))
def test_scores_weighted_by_images_give_back_the_accuracy(images: list[tuple[bool, str]]) -> None:
    correct, patients = np.array([right for right, _ in images]), [patient for _, patient in images]
    scores = patient_scores(correct, patients)
    weighted = sum(score * patients.count(patient) for patient, score in scores.items())
    assert weighted == pytest.approx(correct.sum())
