"""What a study's figures share: colors and hatches told apart in gray as well, words that fit, SVG and PNG files."""

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

# Told apart by people who see no red and green, too (Okabe and Ito 2008); each four from light to dark, so that they
# are told apart in print without color as well. Hatches tell the fours apart.
_COLORS = ("#F0E442", "#56B4E9", "#D55E00", "#0072B2", "#FFFFFF", "#E69F00", "#009E73", "#555555")
_HATCHES = ("", "//", "..", "xx")
_DPI = 150
_LETTER = 0.0085  # inches that a letter takes at one point of size, rather too many than too few
_LEGEND_SIZE = 10
_LEGEND_MARK = 0.6  # inches that a sample of a line or fill takes beside its label


class Style(NamedTuple):
    """How a model is filled."""

    color: str
    hatch: str


def styles(models: Sequence[Model]) -> dict[Model, Style]:
    """One style a model, the same in every figure of a study."""
    return {
        model: Style(_COLORS[number % len(_COLORS)], _HATCHES[number // 4 % len(_HATCHES)])
        for number, model in enumerate(models)
    }


def entitle(figure: Figure, text: str, caveat: str) -> None:
    """Writes a title over the figure and what limits it below, in as many lines as the figure's width asks for."""
    size = 11
    figure.suptitle(fitted(figure, f"{text}\n{caveat}".rstrip(), size), fontsize=size)


def fitted(figure: Figure, text: str, size: float) -> str:
    """The text with its lines broken where the figure ends. size: of its letters, in points."""
    letters = int(figure.get_figwidth() / (size * _LETTER))
    return "\n".join(piece for line in text.splitlines() for piece in textwrap.wrap(line, letters))


def legend_below(figure: Figure, marks: Sequence[Artist], labels: Sequence[str]) -> None:
    """A legend under the figure, in as many columns as its width holds."""
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
    """Writes NAME.svg and NAME.png; the same figure gives the same bytes."""
    files = [folder / f"{name}.svg", folder / f"{name}.png"]
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        for file in files:
            kind = file.suffix[1:]
            with replacing(file) as temporary:
                metadata = {"Date": None} if kind == "svg" else None
                figure.savefig(temporary, format=kind, dpi=_DPI, metadata=metadata)
    return files
