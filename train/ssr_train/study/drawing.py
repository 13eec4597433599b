"""What a study's figures share: colours and hatches that are told apart in grey as well, and writing SVG and PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from ssr_edge.files import replacing
from ssr_train.study.plan import Model

# Told apart by people who see no red and green, too (Okabe and Ito 2008); each four from light to dark, so that they
# are told apart in print without colour as well. Hatches tell the fours apart.
_COLOURS = ("#F0E442", "#56B4E9", "#D55E00", "#0072B2", "#FFFFFF", "#E69F00", "#009E73", "#555555")
_HATCHES = ("", "//", "..", "xx")
_DPI = 150


class Style(NamedTuple):
    """How a model is filled."""

    colour: str
    hatch: str


def styles(models: Sequence[Model]) -> dict[Model, Style]:
    """One style a model, the same in every figure of a study."""
    return {
        model: Style(_COLOURS[number % len(_COLOURS)], _HATCHES[number // 4 % len(_HATCHES)])
        for number, model in enumerate(models)
    }


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
