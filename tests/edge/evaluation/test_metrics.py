"""Every figure against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support, recall_score

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.evaluation.metrics import by_class, measure

classes = st.integers(0, 7)
pairs = st.lists(st.tuples(classes, classes), min_size=1, max_size=60)


@given(pairs)
def test_every_figure_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = map(np.array, zip(*pairs, strict=True))
    metrics = measure(truth, predicted)
    present = np.unique(truth)
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, predicted, labels=present, average="macro", zero_division=0
    )
    assert metrics.images == len(pairs)
    assert metrics.accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert metrics.macro_precision == pytest.approx(precision)
    assert metrics.macro_recall == pytest.approx(recall)
    assert metrics.macro_f1 == pytest.approx(f1)
    np.testing.assert_array_equal(metrics.confusion, confusion_matrix(truth, predicted, labels=range(8)))


@given(pairs)
def test_malignancy_is_a_question_of_its_own(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    metrics = measure(truth, predicted)
    for figure, positive in ((metrics.malignant_sensitivity, True), (metrics.malignant_specificity, False)):
        if positive not in (truth >= 4):
            assert figure is None
        else:
            assert figure == pytest.approx(recall_score(truth >= 4, predicted >= 4, pos_label=positive))


def test_a_small_set_by_hand() -> None:
    # A, A, DC, LC: one adenosis taken for a carcinoma, the lobular one for a ductal one.
    metrics = measure([0, 0, 4, 5], [0, 4, 4, 4])
    assert metrics.accuracy == 0.5
    assert metrics.macro_precision == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert metrics.macro_recall == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert metrics.macro_f1 == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert (metrics.malignant_sensitivity, metrics.malignant_specificity) == (1.0, 0.5)


def test_a_perfect_classifier_of_all_classes() -> None:
    metrics = measure(range(8), range(8))
    assert (metrics.accuracy, metrics.macro_f1, metrics.malignant_sensitivity, metrics.malignant_specificity) == (
        1,
    ) * 4


@given(pairs)
def test_every_class_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = map(np.array, zip(*pairs, strict=True))
    found = by_class(measure(truth, predicted))
    expected = precision_recall_fscore_support(truth, predicted, labels=range(8), zero_division=np.nan)
    assert [entry.label for entry in found] == list(CLASSES)
    for entry, precision, recall, f1, support in zip(found, *expected, strict=True):
        assert entry.support == support
        assert (entry.precision is None) == np.isnan(precision)
        assert (entry.recall is None) == np.isnan(recall)
        assert entry.precision is None or entry.precision == pytest.approx(precision)
        assert entry.recall is None or entry.recall == pytest.approx(recall)
        if entry.precision is not None or entry.recall is not None:
            assert entry.f1 == pytest.approx(f1)
