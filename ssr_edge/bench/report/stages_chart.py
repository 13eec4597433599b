"""Draws where end-to-end time goes: a bar cut into the stages, beside what the pipeline takes."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from ssr_edge.bench.measure.stages import STAGES
from ssr_edge.bench.report.svg import WIDTH, Drawing, Scale

_LEFT, _RIGHT = 10.0, WIDTH - 14.0
_MIDDLE, _BAR, _HEIGHT = 24.0, 22.0, 82.0


def stages_chart(engine: str, stages: Mapping[str, float], took: float) -> Markup:
    """stages: ms an image of each of STAGES, alone. took: ms an image of the pipeline, which overlaps them."""
    told = ", ".join(f"{stage} {stages[stage]:.2f}" for stage in STAGES)
    drawing = Drawing(_HEIGHT, f"End-to-end of {engine}, ms an image: {told}; together {took:.2f}.")
    x = Scale(0, max(sum(stages.values()), took), _LEFT, _RIGHT)
    for tick in x.ticks(5):
        drawing.line(x(tick), 6, x(tick), _HEIGHT - 36, "grid")
        drawing.text(x(tick), _HEIGHT - 22, f"{tick:g}", "soft", "middle")
    drawing.text((_LEFT + _RIGHT) / 2, _HEIGHT - 5, "ms an image", "soft", "middle")
    place = 0.0
    for number, stage in enumerate(STAGES):
        drawing.bar(x(place), x(place + stages[stage]), _MIDDLE, _BAR, f"stage s{number}")
        place += stages[stage]
    drawing.line(x(took), _MIDDLE - _BAR / 2 - 4, x(took), _MIDDLE + _BAR / 2 + 4, "bound")
    return drawing.markup()
