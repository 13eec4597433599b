"""Figures 6 and 7: accuracy by model and magnification, and its spread over seeds with significance stars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from ssr_train.data.splits import SplitKind
from ssr_train.study import paper
from ssr_train.study.captions import counted, model_name, short_caveat
from ssr_train.study.comparisons import Comparison, compare
from ssr_train.study.drawing import Style, add_title, fitted, legend_below, styles
from ssr_train.study.outcomes import Study
from ssr_train.study.plan import Cell, Model
from ssr_train.study.statistics import stars

_GROUP = 0.84  # width of the bars of one magnification
_INK = "#222222"
_BRACKETS = (
    "Brackets: corrected resampled t test, Holm over all comparisons; * p < 0.05, ** p < 0.01, *** p < 0.001.\n"
    "Models without a bracket do not differ significantly."
)
_ON_DARK = [Stroke(linewidth=4, foreground="white"), Normal()]  # makes a line visible on every fill


def accuracy_bars(study: Study, split: SplitKind) -> Figure:
    """Figure 6: mean accuracy with its deviation as a whisker; a diamond marks the value of the paper for its model."""
    plan = study.plan
    figure = Figure(figsize=(max(6.5, 1.2 + 0.55 * len(plan.models) * len(plan.magnifications)), 4.6))
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    width = _GROUP / len(plan.models)
    for number, (model, style) in enumerate(styles(plan.models).items()):
        shift = (number + 0.5) * width - _GROUP / 2
        _bars(axes, study, split, model, style, shift, width)
        if model.arch == paper.PROPOSED:
            label = f"{paper.CITATION}, {paper.NAMES[model.arch]}" if number == _first_proposed(plan.models) else None
            # Next to the whisker, which it would hide.
            places = [place + shift + width / 4 for place in range(len(plan.magnifications))]
            values = [paper.ACCURACY[magnification] for magnification in plan.magnifications]
            axes.plot(places, values, "D", color="white", markeredgecolor=_INK, markersize=5, label=label)
    axes.set_xticks(range(len(plan.magnifications)), [f"{magnification}X" for magnification in plan.magnifications])
    axes.set_ylim(0, 1.12)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_ylabel("accuracy on test images")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    title = f"Accuracy, split by {split}, mean ± deviation over {counted(plan.seeds, 'seed')}"
    add_title(figure, title, short_caveat(study))
    legend_below(figure, *axes.get_legend_handles_labels())
    return figure


def accuracy_boxes(study: Study, split: SplitKind) -> Figure:
    """Figure 7: a box for each model, a point for each seed, a bracket for each significant difference."""
    plan = study.plan
    found = [one for one in compare(study, split) if stars(one.p_holm)]
    columns = min(2, len(plan.magnifications))
    rows = -(-len(plan.magnifications) // columns)
    most = max((sum(one.magnification == at for one in found) for at in plan.magnifications), default=0)
    size = (max(3.6, 1 + 0.75 * len(plan.models)) * columns, (3.6 + 0.16 * most) * rows + 0.8)
    figure = Figure(figsize=size)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes, magnification in zip(panels.flat, plan.magnifications, strict=False):
        _boxes(axes, study, split, magnification)
        _brackets(axes, plan.models, [one for one in found if one.magnification == magnification])
    for axes in panels.flat[len(plan.magnifications) :]:
        axes.set_visible(False)
    add_title(figure, f"Accuracy over {counted(plan.seeds, 'seed')}, split by {split}", short_caveat(study))
    figure.supxlabel(fitted(figure, _BRACKETS, 8), fontsize=8)
    return figure


def _bars(axes: Axes, study: Study, split: SplitKind, model: Model, style: Style, shift: float, width: float) -> None:
    for place, magnification in enumerate(study.plan.magnifications):
        found = study.summary(Cell(model, split, magnification), lambda outcome: outcome.metrics.accuracy)
        if found is None:
            axes.text(place + shift, 0.01, "not run", rotation=90, ha="center", va="bottom", fontsize=7)
            continue
        axes.bar(
            place + shift,
            found.mean,
            width * 0.92,
            yerr=found.deviation,
            color=style.color,
            hatch=style.hatch,
            edgecolor=_INK,
            linewidth=0.7,
            error_kw={"elinewidth": 1, "capsize": 3, "ecolor": _INK},
        )
        top = found.mean + (found.deviation or 0)
        if model.arch == paper.PROPOSED:
            top = max(top, paper.ACCURACY[magnification])
        axes.text(place + shift, top + 0.02, f"{found.mean:.3f}", ha="center", va="bottom", fontsize=7)
    name = model_name(model, study.plan)
    axes.bar(0, 0, color=style.color, hatch=style.hatch, edgecolor=_INK, linewidth=0.7, label=name)


def _boxes(axes: Axes, study: Study, split: SplitKind, magnification: int) -> None:
    plan = study.plan
    for place, (model, style) in enumerate(styles(plan.models).items()):
        outcomes = study.outcomes.get(Cell(model, split, magnification), {})
        values = [outcome.metrics.accuracy for outcome in outcomes.values()]
        if not values:
            continue
        boxes = axes.boxplot(
            [values],
            positions=[place],
            widths=0.6,
            patch_artist=True,
            showfliers=False,  # every value is drawn as a point
            medianprops={"color": _INK, "linewidth": 1.6, "path_effects": _ON_DARK},
        )
        boxes["boxes"][0].set(facecolor=style.color, hatch=style.hatch, edgecolor=_INK)
        # Side by side, so that equal values do not overlap.
        beside = place + np.linspace(-0.18, 0.18, len(values)) if len(values) > 1 else [place]
        axes.plot(beside, values, "o", color="white", markeredgecolor=_INK, markersize=3.5, zorder=3)
    names = [model_name(model, plan).replace(", ", "\n") for model in plan.models]
    axes.set_xticks(range(len(names)), names, rotation=25, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_title(f"{magnification}X", fontsize=10)
    axes.set_ylabel("accuracy")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def _brackets(axes: Axes, models: Sequence[Model], found: Sequence[Comparison]) -> None:
    """Draws the brackets above the boxes, the narrow ones first."""
    low, high = axes.get_ylim()
    step = (high - low) * 0.09
    spans = [(models.index(one.first), models.index(one.second), stars(one.p_holm)) for one in found]
    for level, (left, right, mark) in enumerate(sorted(spans, key=lambda span: (span[1] - span[0], span[0]))):
        y = high + level * step
        axes.plot([left, left, right, right], [y - step / 4, y, y, y - step / 4], color=_INK, linewidth=0.9)
        axes.text((left + right) / 2, y - step * 0.12, mark, ha="center", va="bottom", fontsize=9)
    axes.set_ylim(low, high + len(spans) * step + step / 2)


def _first_proposed(models: Sequence[Model]) -> int:
    return next(number for number, model in enumerate(models) if model.arch == paper.PROPOSED)
