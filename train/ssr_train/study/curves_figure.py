"""Training curves of the runs of a study: training loss and macro-F1 on val by epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from ssr_train.data.splits import SplitKind
from ssr_train.study.captions import model_name, short_caveat
from ssr_train.study.drawing import Style, add_title, legend_below, styles
from ssr_train.study.outcomes import Study
from ssr_train.study.plan import RUNS, Cell
from ssr_train.training.journal import read_metrics

_FIGURES = {"train_loss": "training loss", "val_macro_f1": "macro-F1 on val"}
_OUTLINE = [Stroke(linewidth=2.6, foreground="#222222"), Normal()]  # makes light colors visible on white


def training_curves(study: Study, split: SplitKind, folder: Path) -> Figure:
    """A line for each model, the mean of its finished runs, within a band from minimum to maximum.

    folder: of the study. Losses of recipes with different label smoothing are not comparable.
    """
    magnifications = study.plan.magnifications
    figure = Figure(figsize=(max(6.5, 3.6 * len(magnifications)), 6.4))
    figure.set_layout_engine("constrained")
    panels = figure.subplots(len(_FIGURES), len(magnifications), squeeze=False, sharex=True, sharey="row")
    for (name, label), row in zip(_FIGURES.items(), panels, strict=True):
        for magnification, axes in zip(magnifications, row, strict=True):
            for model, style in styles(study.plan.models).items():
                curves = _curves(study, Cell(model, split, magnification), folder, name)
                if curves.size:
                    _draw(axes, curves, style, model_name(model, study.plan))
            axes.grid(alpha=0.3)
            axes.set_ylim(bottom=0)
        row[0].set_ylabel(label)
    for magnification, top, bottom in zip(magnifications, panels[0], panels[-1], strict=True):
        top.set_title(f"{magnification}X", fontsize=10)
        bottom.set_xlabel("epoch")
        bottom.set_ylim(0, 1)
        bottom.xaxis.get_major_locator().set_params(integer=True)
    add_title(figure, f"Training, split by {split}: mean over seeds, minimum and maximum", short_caveat(study))
    legend_below(figure, *panels[0][0].get_legend_handles_labels())
    return figure


def _curves(study: Study, cell: Cell, folder: Path, name: str) -> npt.NDArray[np.float64]:
    """[finished runs, epochs that all of them have]."""
    runs = [outcome.run.name for outcome in study.outcomes.get(cell, {}).values()]
    lines = [[row[name] for row in read_metrics(folder / RUNS / run)] for run in runs]
    epochs = min(map(len, lines), default=0)
    return np.array([line[:epochs] for line in lines], np.float64)


def _draw(axes: Axes, curves: npt.NDArray[np.float64], style: Style, label: str) -> None:
    epochs = np.arange(1, curves.shape[1] + 1)
    axes.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), color=style.color, alpha=0.25, linewidth=0)
    axes.plot(epochs, curves.mean(axis=0), color=style.color, linewidth=1.4, path_effects=_OUTLINE, label=label)
