"""The contents of the figures; their appearance was checked by eye."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from ssr_train.study import paper
from ssr_train.study.confusion_figure import confusion_matrices
from ssr_train.study.curves_figure import training_curves
from ssr_train.study.drawing import save_figure, styles
from ssr_train.study.figures import accuracy_bars, accuracy_boxes
from ssr_train.study.outcomes import Study, gather
from ssr_train.study.plan import RUNS, Cell, Model
from tests.train.study.made_up import finish, plan, study

WRONG = {"resnet50": 60, "resnext50_32x4d": 58, paper.PROPOSED: 16}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return study(plan(*WRONG, images={40: 1995, 100: 527}, seeds=5), tmp_path_factory.mktemp("study"), WRONG)


def test_bars_are_the_mean_accuracies_and_the_papers_stand_beside_its_model(finished: Study) -> None:
    figure = accuracy_bars(finished, "image")
    (axes,) = figure.axes
    heights = [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle) and bar.get_height()]
    expected = [
        finished.summary(Cell(model, "image", magnification), lambda outcome: outcome.metrics.accuracy)
        for model in finished.plan.models
        for magnification in (40, 100)
    ]
    assert heights == pytest.approx([found.mean for found in expected if found is not None])
    diamonds = [line for line in axes.lines if line.get_marker() == "D"]
    assert [list(np.asarray(line.get_ydata())) for line in diamonds] == [[0.952, 0.940]]
    assert axes.get_ylim()[0] == 0
    assert "2,522 of BreaKHis's 7,909 images: not comparable" in figure.get_suptitle()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert set(legend) == {"ResNet50", "ResNeXt50", "SSResNeXt", "Xu, Li and Wu 2024, SSResNeXt"}


def test_brackets_stand_only_over_what_holm_leaves(finished: Study) -> None:
    for axes in accuracy_boxes(finished, "image").axes:
        marks = [text.get_text() for text in axes.texts]
        assert len(marks) == 2 and set(marks) <= {"*", "**", "***"}
        across = [np.asarray(line.get_xdata()) for line in axes.lines if line.get_marker() == "None"]
        brackets = [x for x in across if len(x) == 4]
        assert sorted((x[0], x[-1]) for x in brackets) == [(0, 2), (1, 2)]
        points = [line for line in axes.lines if line.get_marker() == "o"]
        assert [len(np.asarray(line.get_xdata())) for line in points] == [5, 5, 5]


def test_a_row_of_a_confusion_matrix_is_a_hundred_per_cent(finished: Study) -> None:
    model = Model("resnet50", "paper")
    axes = confusion_matrices(finished, "image", model).axes[0]
    (image,) = axes.images
    assert np.asarray(image.get_array()).sum(axis=1) == pytest.approx(np.ones(8))
    outcomes = finished.outcomes[Cell(model, "image", 40)].values()
    accuracy = np.mean([outcome.metrics.accuracy for outcome in outcomes])
    assert axes.get_title() == f"40X: accuracy {accuracy:.3f}, 1,600 test images, 5 seeds"
    assert axes.get_yticklabels()[0].get_text() == "A (200)"


def test_no_word_of_a_figure_is_cut_off(tmp_path: Path) -> None:
    made = plan("se_resnext50_32x4d/shared", recipes=("paper", "modern"), images={100: 527}, seeds=2)
    for run in made.runs():
        finish(run, tmp_path, 10)
        row = {"epoch": 1, "train_loss": 1.0, "val_macro_f1": 0.5}
        (tmp_path / RUNS / run.name / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    of = gather(made, tmp_path)
    for figure in (
        accuracy_bars(of, "image"),
        accuracy_boxes(of, "image"),
        confusion_matrices(of, "image", made.models[0]),
        training_curves(of, "image", tmp_path),
    ):
        figure.draw_without_rendering()
        drawn = figure.get_tightbbox()  # inches
        width, height = figure.get_size_inches()
        assert 0 <= drawn.x0 < drawn.x1 <= width and 0 <= drawn.y0 < drawn.y1 <= height


def test_models_differ_without_color() -> None:
    models = [Model(f"m{number}", "paper") for number in range(8)]
    gray = {model: float(np.dot(to_rgb(style.color), (0.299, 0.587, 0.114))) for model, style in styles(models).items()}
    for first in models:
        for second in models:
            if first != second:
                same_hatch = styles(models)[first].hatch == styles(models)[second].hatch
                assert not same_hatch or abs(gray[first] - gray[second]) > 0.08


@pytest.mark.slow
def test_a_study_without_a_run_still_has_figures(tmp_path: Path) -> None:
    empty = gather(plan("resnet50", paper.PROPOSED, images={40: 1995, 100: 2081, 200: 2013}), tmp_path)
    for number, figure in enumerate(
        (
            accuracy_bars(empty, "image"),
            accuracy_boxes(empty, "image"),
            confusion_matrices(empty, "image", empty.plan.models[0]),
        )
    ):
        assert "0 of 60 runs done" in figure.get_suptitle()
        save_figure(figure, tmp_path, f"empty{number}")


def test_files_are_svg_and_png_and_the_same_each_time(finished: Study, tmp_path: Path) -> None:
    files = save_figure(accuracy_bars(finished, "image"), tmp_path / "a", "figure6")
    again = save_figure(accuracy_bars(finished, "image"), tmp_path / "b", "figure6")
    assert [file.name for file in files] == ["figure6.svg", "figure6.png"]
    assert [file.read_bytes() for file in files] == [file.read_bytes() for file in again]
    assert files[0].read_bytes().startswith(b"<?xml")
    image = cv2.imread(str(files[1]))
    assert image is not None and image.shape[1] > 900


def test_curves_are_of_the_finished_runs(tmp_path: Path) -> None:
    made = plan("resnet50", "bhcnet", images={100: 2081}, seeds=3)
    losses = {0: [2.0, 1.0, 0.5], 1: [4.0, 3.0, 1.5, 0.5]}
    for run in made.runs():
        if run.cell.model.arch == "resnet50" and run.seed in losses:
            finish(run, tmp_path, 10)
        place = tmp_path / RUNS / run.name
        place.mkdir(parents=True, exist_ok=True)
        rows = [
            {"epoch": number, "train_loss": loss, "val_macro_f1": loss / 8}
            for number, loss in enumerate(losses.get(run.seed, [9.0] * 4), start=1)
        ]
        (place / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    figure = training_curves(gather(made, tmp_path), "image", tmp_path)
    loss, val = figure.axes
    # Runs that are not done, and epochs that one of them lacks, are left out.
    assert [line.get_ydata().tolist() for line in loss.lines] == [[3.0, 2.0, 1.0]]  # type: ignore[union-attr]
    assert [line.get_ydata().tolist() for line in val.lines] == [[0.375, 0.25, 0.125]]  # type: ignore[union-attr]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ResNet50"]


def test_curves_of_a_study_without_runs_are_empty(tmp_path: Path) -> None:
    made = plan("resnet50", images={100: 2081}, seeds=1)
    assert not training_curves(gather(made, tmp_path), "image", tmp_path).axes[0].lines
