"""The numbers of the paper are consistent with each other and with the networks of this project."""

from __future__ import annotations

import pytest

from ssr_train.study import paper

MAGNIFICATIONS = (40, 100, 200, 400)


def test_breakhis_has_7909_images() -> None:
    assert sum(paper.IMAGES.values()) == 7909
    assert tuple(paper.IMAGES) == MAGNIFICATIONS


def test_every_row_has_every_magnification_and_a_name() -> None:
    for table in (paper.ABLATION, paper.COMPARISON):
        for arch, row in table.items():
            assert tuple(row) == MAGNIFICATIONS
            assert arch in paper.NAMES
    assert tuple(paper.ACCURACY) == MAGNIFICATIONS
    assert list(paper.ABLATION) == ["resnet50", "resnext50_32x4d", "se_resnext50_32x4d", "ssresnext50_32x4d"]
    assert list(paper.COMPARISON) == ["bhcnet", "swin_t", "resnet50", "ssresnext50_32x4d"]


@pytest.mark.parametrize("arch", ["resnet50", "ssresnext50_32x4d"])
def test_models_that_stand_in_both_tables_have_the_same_figures_there(arch: str) -> None:
    for magnification in MAGNIFICATIONS:
        assert paper.ABLATION[arch][magnification][:2] == paper.COMPARISON[arch][magnification][:2]


def test_the_proposed_network_has_the_highest_precision_in_the_paper() -> None:
    for table in (paper.ABLATION, paper.COMPARISON):
        for magnification in MAGNIFICATIONS:
            best = max(table, key=lambda arch: table[arch][magnification].precision or 0)
            assert best == paper.PROPOSED


def test_the_headline_accuracies_are_the_size_of_its_precisions() -> None:
    assert paper.ACCURACY == {40: 0.952, 100: 0.940, 200: 0.927, 400: 0.935}
    for magnification, accuracy in paper.ACCURACY.items():
        assert paper.ABLATION[paper.PROPOSED][magnification].precision == accuracy


def test_f1_lies_where_precision_and_recall_put_it() -> None:
    for row in paper.COMPARISON.values():
        for found in row.values():
            if found.recall is not None:
                assert found.precision is not None and found.f1 is not None
                low, high = sorted((found.precision, found.recall))
                # Macro F1 is a mean over classes: it may leave the two by the rounding and a little more.
                assert low - 0.003 <= found.f1 <= high + 0.003
