"""Draws where end-to-end time goes: a bar for each engine, cut into the stages, beside what the pipeline takes."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from ssr_edge.bench.stages import STAGES
from ssr_edge.bench.svg import WIDTH, Drawing, Scale

_LEFT, _RIGHT = 10.0, WIDTH - 14.0
_BAR, _ROW = 20.0, 62.0


def stages_chart(stages: Mapping[str, Mapping[str, float]], took: Mapping[str, float]) -> Markup:
    """stages: by engine, ms an image of each of STAGES. took: by engine, ms an image of the overlapped pipeline."""
    height = len(stages) * _ROW + 40
    longest = max(sum(found.values()) for found in stages.values())
    told = "; ".join(f"{engine}: {_words(found)}" for engine, found in stages.items())
    drawing = Drawing(height, f"Stages of end-to-end, ms an image: {told}.")
    x = Scale(0, longest, _LEFT, _RIGHT)
    for tick in x.ticks(5):
        drawing.line(x(tick), 6, x(tick), height - 34, "grid")
        drawing.text(x(tick), height - 20, f"{tick:g}", "soft", "middle")
    drawing.text((_LEFT + _RIGHT) / 2, height - 4, "ms an image", "soft", "middle")
    for number, (engine, found) in enumerate(stages.items()):
        top, place = number * _ROW, 0.0
        drawing.text(_LEFT, top + 16, engine, "strong")
        for stage_number, stage in enumerate(STAGES):
            drawing.bar(x(place), x(place + found[stage]), top + 22 + _BAR / 2, _BAR, f"stage s{stage_number}")
            place += found[stage]
        if engine in took:
            # What threads save: the pipeline's own time, as a line across the bar.
            drawing.line(
                x(min(took[engine], longest)), top + 19, x(min(took[engine], longest)), top + 45, "axis strong"
            )
    return drawing.markup()


def _words(stages: Mapping[str, float]) -> str:
    return ", ".join(f"{stage} {stages[stage]:.2f}" for stage in STAGES)
