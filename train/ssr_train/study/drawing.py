"""Shared by the figures of a study: colors and hatches, titles and legends that fit, SVG and PNG files."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from ssr_edge.common.files import replacing
from ssr_train.study.plan import Model

# Colors that color-blind people can distinguish (Okabe and Ito 2008), in groups of four from light to dark, so that
# they also differ in gray. Each group has its own hatch.
_COLORS = ("#F0E442", "#56B4E9", "#D55E00", "#0072B2", "#FFFFFF", "#E69F00", "#009E73", "#555555")
_HATCHES = ("", "//", "..", "xx")
_DPI = 150
_LETTER = 0.0085  # width of a letter in inches at a font size of one point, rather too large than too small
_LEGEND_SIZE = 10
_LEGEND_MARK = 0.6  # width in inches of the sample next to a label


class Style(NamedTuple):
    """The fill of a model."""

    color: str
    hatch: str


def styles(models: Sequence[Model]) -> dict[Model, Style]:
    """A style for each model, the same in every figure of a study."""
    return {
        model: Style(_COLORS[number % len(_COLORS)], _HATCHES[number // 4 % len(_HATCHES)])
        for number, model in enumerate(models)
    }


def add_title(figure: Figure, text: str, caveat: str) -> None:
    """Adds a title with the caveat below it, wrapped to the width of the figure."""
    size = 11
    figure.suptitle(fitted(figure, f"{text}\n{caveat}".rstrip(), size), fontsize=size)


def fitted(figure: Figure, text: str, size: float) -> str:
    """The text, wrapped to the width of the figure. size: font size in points."""
    letters = int(figure.get_figwidth() / (size * _LETTER))
    return "\n".join(piece for line in text.splitlines() for piece in textwrap.wrap(line, letters))


def legend_below(figure: Figure, marks: Sequence[Artist], labels: Sequence[str]) -> None:
    """Adds a legend below the figure, with as many columns as fit."""
    longest = max(map(len, labels), default=0)
    columns = int(figure.get_figwidth() / (_LEGEND_MARK + longest * _LEGEND_SIZE * _LETTER))
    figure.legend(
        marks,
        labels,
        loc="outside lower center",
        ncols=max(1, min(columns, len(labels))),
        frameon=False,
        fontsize=_LEGEND_SIZE,
    )


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Writes NAME.svg and NAME.png; the same figure produces the same bytes."""
    files = [folder / f"{name}.svg", folder / f"{name}.png"]
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        for file in files:
            kind = file.suffix[1:]
            with replacing(file) as temporary:
                metadata = {"Date": None} if kind == "svg" else None
                figure.savefig(temporary, format=kind, dpi=_DPI, metadata=metadata)
    return files
