"""Sensitivity and specificity of studies with known mistakes: a wrong label is the next class in CLASSES."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssr_edge.breakhis.names import CLASSES, MALIGNANT
from ssr_edge.evaluation.bootstrap import malignancy_intervals
from ssr_train.study.malignancy_table import group_shares, malignancy_table
from ssr_train.study.outcomes import gather
from ssr_train.study.plan import Cell, Model
from tests.train.study.made_up import finish, plan, predictions


def test_only_a_mistake_across_the_border_counts(tmp_path: Path) -> None:
    made = plan("resnet50", seeds=2, images={100: 2081})
    for run, wrong in zip(made.runs(), (40, 80), strict=True):
        finish(run, tmp_path, wrong)
    table = malignancy_table(gather(made, tmp_path), "image")
    expected: dict[str, list[float]] = {"sensitivity": [], "specificity": []}
    for seed, wrong in enumerate((40, 80)):
        shown = predictions(seed, wrong)
        # Of the eight classes in their order, only the last malignant and the last benign one have a neighbor across.
        for side, last in (("sensitivity", "PC"), ("specificity", "TA")):
            of_side = np.array([(label in MALIGNANT) == (side == "sensitivity") for label in CLASSES])[shown.truth]
            lost = (~shown.correct & (shown.truth == CLASSES.index(last))).sum()
            assert lost > 0
            expected[side].append(1 - lost / of_side.sum())
    (record,) = table.records
    for side, shares in expected.items():
        assert record[side] == pytest.approx(np.mean(shares))
        assert record[f"{side}_deviation"] == pytest.approx(np.std(shares, ddof=1))
    assert table.rows[0][2].startswith(f"{np.mean(expected['sensitivity']):.3f} ± ")


def test_the_interval_of_one_seed_is_that_of_evaluate(tmp_path: Path) -> None:
    made = plan("resnet50", seeds=1, images={100: 2081})
    finish(made.runs()[0], tmp_path, 60)
    outcomes = gather(made, tmp_path).outcomes[Cell(Model("resnet50", "paper"), "image", 100)]
    shown = predictions(0, 60)
    expected = malignancy_intervals(shown.truth, shown.predicted, shown.patients)
    for malignant, interval in zip((True, False), expected, strict=True):
        assert interval is not None
        # Patients are numbered in another order, so other draws are made of them.
        assert group_shares(outcomes, malignant)[1] == pytest.approx(interval, abs=0.01)


def test_a_side_without_images_has_no_figure(tmp_path: Path) -> None:
    assert group_shares({}, True) == ([], None)
    made = plan("resnet50", seeds=1, images={100: 2081})
    table = malignancy_table(gather(made, tmp_path), "image")
    assert table.rows == [["100X", "ResNet50", "–", "–"]]
    assert table.records[0]["sensitivity_low"] is None
