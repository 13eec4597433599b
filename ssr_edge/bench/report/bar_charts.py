"""Draws the bar charts: an engine's time by block, and the stages of end-to-end."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from ssr_edge.bench.measure.stages import STAGES
from ssr_edge.bench.profile.layers import Profile, by_block
from ssr_edge.bench.profile.roofline import Roofline
from ssr_edge.bench.report.svg import WIDTH, Drawing, Scale, engine_style

# Names to the left of the bars, figures to the right.
_NAMES_END, _BARS_END = 122.0, 284.0
_ROW, _BAR = 20.0, 12.0
# The single bar of the stages.
_LEFT, _RIGHT = 10.0, WIDTH - 14.0
_MIDDLE, _THICK_BAR, _HEIGHT = 24.0, 22.0, 82.0


def share_chart(profile: Profile, engine: str, number: int, roofline: Roofline | None = None) -> Markup:
    """One bar per block in network order, in percent of the profiled time.

    number: the engine's number, which selects its color. roofline: adds a line at each block's bound and shows the
    engine's unprofiled milliseconds; without one, the profile's.
    """
    shares = {block: 100 * ms / profile.total_ms for block, ms in by_block(profile.layers).items()}
    total_ms = profile.total_ms if roofline is None else roofline.measured_ms
    bounds = {} if roofline is None else {b.block: 100 * b.bound_ms / roofline.measured_ms for b in roofline.blocks}
    x = Scale(0, max(shares.values()), _NAMES_END + 6, _BARS_END)
    figures = "; ".join(f"{block} {share:.1f}%" for block, share in shares.items())
    drawing = Drawing(len(shares) * _ROW + 8, f"Share of {engine}'s time by block: {figures}.")
    for place, (block, share) in enumerate(shares.items()):
        middle = place * _ROW + _ROW / 2 + 2
        drawing.text(_NAMES_END, middle + 4, block, "soft", "end")
        drawing.bar(x(0), x(share), middle, _BAR, f"bar {engine_style(number)}")
        if bounds.get(block):
            at = x(min(bounds[block], x.high))
            drawing.line(at, middle - _BAR / 2 - 2, at, middle + _BAR / 2 + 2, "bound")
        drawing.text(WIDTH - 2, middle + 4, f"{share:.1f}% ({share / 100 * total_ms:.2f} ms)", "", "end")
    return drawing.markup()


def stages_chart(engine: str, stages: Mapping[str, float], pipeline_ms: float) -> Markup:
    """One bar divided into stages. stages: ms per image of each of STAGES, run alone.

    pipeline_ms: ms per image of the pipeline, in which stages overlap; drawn as a line.
    """
    figures = ", ".join(f"{stage} {stages[stage]:.2f}" for stage in STAGES)
    drawing = Drawing(_HEIGHT, f"End-to-end stages of {engine}, ms per image: {figures}; pipeline {pipeline_ms:.2f}.")
    x = Scale(0, max(sum(stages.values()), pipeline_ms), _LEFT, _RIGHT)
    for tick in x.ticks(5):
        drawing.line(x(tick), 6, x(tick), _HEIGHT - 36, "grid")
        drawing.text(x(tick), _HEIGHT - 22, f"{tick:g}", "soft", "middle")
    drawing.text((_LEFT + _RIGHT) / 2, _HEIGHT - 5, "ms per image", "soft", "middle")
    place = 0.0
    for number, stage in enumerate(STAGES):
        drawing.bar(x(place), x(place + stages[stage]), _MIDDLE, _THICK_BAR, f"stage s{number}")
        place += stages[stage]
    drawing.line(x(pipeline_ms), _MIDDLE - _THICK_BAR / 2 - 4, x(pipeline_ms), _MIDDLE + _THICK_BAR / 2 + 4, "bound")
    return drawing.markup()
