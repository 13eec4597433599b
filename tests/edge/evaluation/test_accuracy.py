from __future__ import annotations

import pytest

from ssr_edge.evaluation.accuracy import evaluate_labels


def test_known_confusion() -> None:
    # Class 0: precision 1, recall 1/2, F1 2/3. Class 1: precision 2/3, recall 1, F1 4/5. The fifth has no label.
    row = evaluate_labels("engine", predicted=[0, 1, 1, 1, 2], truth=[0, 0, 1, 1, None], reference=[0, 0, 1, 1, 2])
    assert row.macro_f1 == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert row.accuracy == 0.75
    assert row.agreement_with_fp32 == 0.8
    assert (row.images, row.labeled) == (5, 4)


def test_unlabeled_images_give_agreement_alone() -> None:
    row = evaluate_labels("engine", predicted=[3, 4], truth=[None, None], reference=[3, 3])
    assert (row.macro_f1, row.accuracy, row.agreement_with_fp32, row.labeled) == (None, None, 0.5, 0)


def test_unreadable_images_count_for_nothing() -> None:
    row = evaluate_labels("engine", predicted=[None, 5], truth=[5, 5], reference=[None, 5])
    assert (row.accuracy, row.agreement_with_fp32, row.images) == (1.0, 1.0, 1)


def test_without_a_reference_there_is_no_agreement() -> None:
    assert evaluate_labels("engine", [1], [1], None).agreement_with_fp32 is None
