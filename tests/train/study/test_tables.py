"""The tables of studies with a known number of mistakes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ssr_train.study import paper
from ssr_train.study.comparisons import compare
from ssr_train.study.complexity_table import table_4
from ssr_train.study.outcomes import gather
from ssr_train.study.plan import Cell, Model, settle_plan
from ssr_train.study.statistics_tables import comparison_table, patient_table, split_table
from ssr_train.study.tables import accuracy_table, table_2, table_3
from tests.train.study.made_up import IMAGES, fail, finish, plan, study

pytestmark = pytest.mark.slow

PART = "527 of BreaKHis's 7,909 images (100X 527 of 2,081)"
PROPOSED, BASE = Model(paper.PROPOSED, "paper"), Model("resnet50", "paper")


def test_a_cell_has_mean_deviation_and_the_papers_figure(tmp_path: Path) -> None:
    made = plan(paper.PROPOSED, images={100: 2081}, seeds=2)
    for run, wrong in zip(made.runs(), (16, 32), strict=True):
        finish(run, tmp_path, wrong)
    found = gather(made, tmp_path)
    # 304 and 288 of 320 images: 0.95 and 0.90.
    table = accuracy_table(found, "image")
    assert table.rows == [["SSResNeXt", "accuracy", "0.925 ± 0.035 (paper 0.940)"]]
    (record,) = table.records
    assert record["mean"] == pytest.approx(0.925) and record["deviation"] == pytest.approx(0.05 / 2**0.5)
    assert (record["seeds"], record["paper"]) == (2, 0.94)
    assert "BreaKHis's" not in table.markdown()


def test_rows_are_the_papers_run_or_not_and_then_our_own(tmp_path: Path) -> None:
    made = plan("ssresnext14_8x4d", "resnet50", "swin_t", images={40: 1995}, seeds=1)
    finish(made.runs()[1], tmp_path, 32)
    found = gather(made, tmp_path)
    ablation = table_2(found, "image").rows
    assert [row[0] for row in ablation[::2]] == [
        "ResNet50",
        "ResNeXt50",
        "SE-ResNeXt50",
        "SSResNeXt",
        "ssresnext14_8x4d",
    ]
    assert ablation[0][2].startswith("0.90") and ablation[0][2].endswith(" (paper 0.855)")
    assert ablation[2:4] == [["ResNeXt50", "precision", "– (paper 0.941)"], ["ResNeXt50", "recall", "– (paper 0.915)"]]
    assert ablation[-1] == ["ssresnext14_8x4d", "recall", "–"]
    comparison = table_3(found, "image").rows
    assert [row[0] for row in comparison[::3]] == ["BHCNet", "Swin T", "ResNet50", "SSResNeXt", "ssresnext14_8x4d"]
    assert comparison[3:6] == [
        ["Swin T", "precision", "– (paper 0.942)"],
        ["Swin T", "recall", "–"],
        ["Swin T", "F1", "– (paper 0.940)"],
    ]


def test_incomplete_data_and_missing_runs_are_noted_above_every_table(tmp_path: Path) -> None:
    made = plan("resnet50", images={100: 527}, seeds=3)
    for run in made.runs()[:2]:
        finish(run, tmp_path, 20)
    found = gather(made, tmp_path)
    for table in (table_2, table_3, accuracy_table, comparison_table, patient_table):
        text = table(found, "image").markdown()
        assert text.index(PART) < text.index("2 of 3 runs") < text.index("| --- |")
        assert "3 repeats per model" in text
    assert "[2 of 3 seeds]" in accuracy_table(found, "image").rows[0][2]


def test_models_are_named_with_their_recipe_where_there_are_several(tmp_path: Path) -> None:
    made = plan("resnet50", recipes=("paper", "modern"), images={100: 2081}, seeds=1)
    names = [row[0] for row in accuracy_table(gather(made, tmp_path), "image").rows]
    assert names == ["ResNet50, paper recipe", "ResNet50, modern recipe"]


def test_comparisons_are_paired_corrected_and_in_one_family(tmp_path: Path) -> None:
    wrong = {"resnet50": 60, "resnext50_32x4d": 58, paper.PROPOSED: 16}
    found = study(plan(*wrong), tmp_path, wrong)
    compared = compare(found, "image")
    assert len(compared) == 3 * 4
    for one in compared:
        assert one.seeds == 10 and one.test is not None and one.test.p is not None and one.p_holm is not None
        assert one.p_holm >= one.test.p
        ours, theirs = (found.outcomes[Cell(model, "image", one.magnification)] for model in (one.first, one.second))
        expected = [ours[seed].metrics.accuracy - theirs[seed].metrics.accuracy for seed in range(10)]
        assert one.test.difference == pytest.approx(sum(expected) / 10)
    smallest = min(compared, key=lambda one: one.test.p if one.test and one.test.p else 1)
    assert smallest.p_holm == pytest.approx(12 * smallest.test.p)  # type: ignore[union-attr, operator]
    marks = {(row[0], row[1]): row[5] for row in comparison_table(found, "image").rows}
    assert marks["40X", "ResNet50 − SSResNeXt"].endswith("***")
    assert "*" not in marks["40X", "ResNet50 − ResNeXt50"]


def test_runs_on_another_split_are_not_paired(tmp_path: Path) -> None:
    made = plan("resnet50", paper.PROPOSED, images={100: 2081}, seeds=3)
    settle_plan(made, tmp_path)
    for number, run in enumerate(made.runs()):
        changed = run.seed == 1 and run.cell.model == BASE
        finish(run, tmp_path, 20 + number, split_seed=99 if changed else None)
    found = gather(made, tmp_path)
    (one,) = compare(found, "image")
    assert one.seeds == 2
    splits = split_table(found).records
    assert [record["seed"] for record in splits] == [0, 1, 1, 2]
    assert len({record["sha256"] for record in splits}) == 4
    assert {(record["train"], record["val"], record["test"]) for record in splits} == {(4 * IMAGES, 1, IMAGES)}


def test_one_seed_or_one_model_can_not_be_tested(tmp_path: Path) -> None:
    made = plan("resnet50", paper.PROPOSED, images={100: 2081}, seeds=1)
    for run in made.runs():
        finish(run, tmp_path, 20)
    (row,) = comparison_table(gather(made, tmp_path), "image").rows
    assert row == ["100X", "ResNet50 − SSResNeXt", "1", "+0.000", "–", "–"]
    assert comparison_table(gather(plan("resnet50"), tmp_path), "image").rows == []


def test_failures_are_gathered_with_their_reason_and_damaged_predictions_too(tmp_path: Path) -> None:
    made = plan("resnet50", images={100: 2081}, seeds=3)
    first, second, third = made.runs()
    fail(first, tmp_path, "the loss became nan in epoch 3")
    finish(second, tmp_path, 10)
    finish(third, tmp_path, 10)
    (tmp_path / "runs" / third.name / "predictions.csv").write_text("name\n")
    found = gather(made, tmp_path)
    assert found.done == 1
    assert found.failures[first.name] == "the loss became nan in epoch 3"
    assert "predictions.csv" in found.failures[third.name]


def test_metrics_by_image_and_patient_have_intervals_around_the_mean(tmp_path: Path) -> None:
    found = study(plan("resnet50", images={100: 2081}, seeds=4), tmp_path, {"resnet50": 40})
    (record,) = patient_table(found, "image").records
    for name in ("image_accuracy", "patient_recognition_rate"):
        mean, low, high = (float(record[name + end] or 0) for end in ("", "_low", "_high"))
        assert low < mean < high
        # Made-up mistakes fall on all patients alike, and patients have equally many images: both are the same.
        assert mean == pytest.approx(float(record["image_accuracy"] or 0))


def test_table_4_has_both_heads_and_the_papers_counts() -> None:
    rows = {str(record["arch"]): record for record in table_4(plan("ssresnext14_8x4d")).records}
    assert list(rows) == [
        *("resnet50", "resnext50_32x4d", paper.PROPOSED, "bhcnet", "swin_t", "ssresnext14_8x4d"),
    ]
    assert rows["swin_t"]["parameters_1000_classes"] == 28_288_354
    # torchvision's published counts with 1000 classes: 25,557,032 and 25,028,904; 4.09 G and 4.23 G.
    assert rows["resnet50"]["parameters_1000_classes"] == 25_557_032
    assert rows["resnext50_32x4d"]["parameters_1000_classes"] == 25_028_904
    assert rows["resnet50"]["multiply_adds_1000_classes"] == pytest.approx(4.09e9, rel=0.001)
    proposed = rows[paper.PROPOSED]
    assert proposed["parameters_8_classes"] == pytest.approx(proposed["parameters_paper"], rel=0.01)
    assert proposed["multiply_adds_8_classes_folded"] == pytest.approx(proposed["multiply_adds_paper"], rel=0.01)
    assert rows["ssresnext14_8x4d"]["parameters_paper"] is None


def test_markdown_and_csv_hold_the_same(tmp_path: Path) -> None:
    table = accuracy_table(study(plan("resnet50", seeds=2), tmp_path, {"resnet50": 40}), "image")
    table.write(tmp_path)
    assert (tmp_path / "accuracy-image.md").read_text() == table.markdown()
    with (tmp_path / "accuracy-image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["magnification"]) for row in rows] == [40, 100, 200, 400]
    assert [f"{float(row['mean']):.3f}" for row in rows] == [cell.split(" ")[0] for cell in table.rows[0][2:]]
