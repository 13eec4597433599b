"""Figure 8: confusion matrices of a model, one for each magnification, over the test images of all seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssr_edge.breakhis.names import CLASSES
from ssr_train.data.splits import SplitKind
from ssr_train.study.captions import counted, model_name, short_caveat
from ssr_train.study.drawing import add_title
from ssr_train.study.outcomes import Study
from ssr_train.study.plan import Cell, Model

_COLORS = "Blues"  # one hue from light to dark: the same order in gray
_DARK = 0.55


def confusion_matrices(study: Study, split: SplitKind, model: Model) -> Figure:
    """Rows: true class; columns: predicted class; cells: percentage of the row."""
    magnifications = study.plan.magnifications
    columns = min(2, len(magnifications))
    rows = -(-len(magnifications) // columns)
    figure = Figure(figsize=(4.7 * columns + 0.6, 4.6 * rows + 0.9))
    figure.set_layout_engine("constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes, magnification in zip(panels.flat, magnifications, strict=False):
        outcomes = study.outcomes.get(Cell(model, split, magnification), {})
        if not outcomes:
            axes.set_title(f"{magnification}X: no finished run", fontsize=10)
        else:
            confusion = np.sum([outcome.metrics.confusion for outcome in outcomes.values()], axis=0)
            _draw(axes, confusion)
            accuracy = np.trace(confusion) / confusion.sum()
            of = f"{counted(int(confusion.sum()), 'test image')}, {counted(len(outcomes), 'seed')}"
            axes.set_title(f"{magnification}X: accuracy {accuracy:.3f}, {of}", fontsize=10)
    for axes in panels.flat[len(magnifications) :]:
        axes.set_visible(False)
    title = f"{model_name(model, study.plan)}, split by {split}: percentage of each class's images"
    add_title(figure, title, short_caveat(study))
    return figure


def _draw(axes: Axes, confusion: npt.NDArray[np.int64]) -> None:
    totals = confusion.sum(axis=1)
    shares = confusion / np.maximum(totals, 1)[:, None]
    axes.imshow(shares, cmap=_COLORS, vmin=0, vmax=1)
    for row, column in np.ndindex(shares.shape):
        if confusion[row, column]:
            share = shares[row, column]
            # Not rounded to 0.
            text = f"{100 * share:.0f}" if share >= 0.005 else "<1"
            color = "white" if share > _DARK else "black"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    axes.set_xticks(range(len(CLASSES)), CLASSES)
    axes.set_yticks(range(len(CLASSES)), [f"{label} ({total:,})" for label, total in zip(CLASSES, totals, strict=True)])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true class (images)")
    # Benign classes above and left of the line, malignant ones below and right.
    half = CLASSES.index("DC") - 0.5
    axes.axhline(half, color="black", linewidth=0.8)
    axes.axvline(half, color="black", linewidth=0.8)
