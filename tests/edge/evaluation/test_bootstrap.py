"""Intervals on data whose answer is known: binomial counts, clustered errors, figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.evaluation.bootstrap import malignancy_intervals, paired_drops, ratio_interval, share_interval

DC, A = CLASSES.index("DC"), CLASSES.index("A")


def test_the_interval_of_a_share_is_binomial_for_independent_images() -> None:
    held = np.arange(400) >= 40
    low, high = share_interval(held, range(400))
    # 0.9 -+ 1.96 sqrt(0.9 * 0.1 / 400) = 0.9 -+ 0.0294
    assert low == pytest.approx(0.9 - 0.0294, abs=0.004)
    assert high == pytest.approx(0.9 + 0.0294, abs=0.004)


def test_errors_that_come_by_patient_make_the_interval_as_wide_as_there_are_patients() -> None:
    # 40 patients of ten images; of four patients every image is lost.
    patients = np.repeat(np.arange(40), 10)
    held = patients >= 4
    by_image, by_patient = share_interval(held, range(400)), share_interval(held, patients.tolist())
    widths = [high - low for low, high in (by_image, by_patient)]
    # Forty independent values instead of four hundred: sqrt(10) times as wide.
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(10), rel=0.12)


def test_images_that_all_agree_prove_no_more_than_their_number_allows() -> None:
    # 22 of 22: the exact (Clopper-Pearson) lower end is 0.025 ** (1 / 22).
    assert share_interval(np.ones(22, bool), range(22)) == pytest.approx((0.8456, 1.0), abs=1e-4)
    assert share_interval(np.zeros(22, bool), range(22)) == pytest.approx((0.0, 1 - 0.8456), abs=1e-4)
    assert share_interval(np.ones(22, bool), [0, 1] * 11) == pytest.approx((0.1581, 1.0), abs=1e-4)


def test_drops_by_hand() -> None:
    truth = np.array([DC] * 10 + [A] * 10)
    engine = truth.copy()
    engine[:2] = A
    drops = paired_drops(truth, truth, engine, range(20))
    assert drops["malignant_sensitivity"][:2] == (1.0, 0.8)
    assert drops["balanced_accuracy"][:2] == (1.0, 0.9)
    # F1 of DC is 16/18, of A 20/22.
    assert drops["macro_f1"][:2] == pytest.approx((1.0, (16 / 18 + 20 / 22) / 2))
    low, high = drops["malignant_sensitivity"][2]
    assert 0 <= low < 0.2 < high < 0.55


def test_what_both_get_wrong_is_no_drop_and_adds_no_doubt() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 8, 200)
    wrong = rng.integers(0, 8, 200)
    for before, after, interval in paired_drops(truth, wrong, wrong, range(200)).values():
        assert before == after < 0.6
        assert interval == (0.0, 0.0)


def test_drops_are_surer_by_image_than_by_patient() -> None:
    patients = np.repeat(np.arange(30), 10)
    truth = np.repeat(np.arange(30) % 8, 10)
    engine = np.where(np.isin(patients, (0, 7, 14)), (truth + 1) % 8, truth)
    drawn = [paired_drops(truth, truth, engine, who)["macro_f1"][2] for who in (range(300), patients.tolist())]
    by_image, by_patient = (high - low for low, high in drawn)
    assert by_patient > 2 * by_image


def test_a_figure_whose_images_are_missing_is_left_out() -> None:
    benign = np.zeros(5, np.int64)
    assert set(paired_drops(benign, benign, benign, range(5))) == {"macro_f1", "balanced_accuracy"}


def test_repeats_are_averaged_and_share_their_draws() -> None:
    rng = np.random.default_rng(1)
    wholes = np.full((1, 30), 10.0)
    parts = rng.integers(5, 11, (1, 30)).astype(np.float64)
    # The same repeat three times is no more certain than once.
    assert ratio_interval(np.repeat(parts, 3, 0), np.repeat(wholes, 3, 0)) == pytest.approx(
        ratio_interval(parts, wholes)
    )
    low, high = ratio_interval(parts, wholes)
    assert low < parts.sum() / wholes.sum() < high


def test_a_repeat_ignores_draws_without_its_patients() -> None:
    # Two repeats of one patient each: a draw with only one of the patients covers one repeat.
    parts, wholes = np.array([[1.0, 0.0], [0.0, 0.5]]), np.eye(2)
    assert ratio_interval(parts, wholes) == (0.5, 1.0)


def test_malignancy_intervals_draw_from_the_patients_of_each_side() -> None:
    #                 benign: two patients         malignant: three
    truth = np.array([0, 0, 1, 1, 4, 4, 5, 6, 6])
    predicted = np.array([1, 0, 2, 5, 5, 4, 4, 7, 6])
    patients = ["a", "a", "b", "b", "c", "c", "d", "e", "e"]
    sensitivity, specificity = malignancy_intervals(truth, predicted, patients)
    # No malignant image was called benign: as low as 97.5 % of the times in which three patients show none.
    assert sensitivity == pytest.approx((0.025 ** (1 / 3), 1.0))
    assert specificity == share_interval(np.array([True, True, True, False]), ["a", "a", "b", "b"])
    assert specificity == (0.5, 1.0)
    assert malignancy_intervals(truth[4:], predicted[4:], patients[4:])[1] is None


def test_a_share_of_none_is_no_certainty() -> None:
    assert share_interval(np.zeros(4, bool), list("abcd")) == pytest.approx((0.0, 1 - 0.025 ** (1 / 4)))
