"""Draws each block's share of an engine's time, beside the shortest time that the machine allows it."""

from __future__ import annotations

from markupsafe import Markup

from ssr_edge.bench.profile.layers import Profile, by_block
from ssr_edge.bench.profile.roofline import Roofline
from ssr_edge.bench.report.svg import WIDTH, Drawing, Scale, engine_style

# Names to the left of the bars, figures to the right.
_NAMES_END, _BARS_END = 122.0, 284.0
_ROW, _BAR = 20.0, 12.0


def share_chart(profile: Profile, engine: str, number: int, roofline: Roofline | None = None) -> Markup:
    """A bar for each block in the network's order, in percent of the profiled time.

    number: the engine's, for its color. roofline: a line across each bar marks the block's bound, and milliseconds
    are those of the engine when it is not profiled; without one they are the profile's.
    """
    shares = {block: 100 * ms / profile.total_ms for block, ms in by_block(profile.layers).items()}
    total_ms = profile.total_ms if roofline is None else roofline.measured_ms
    bounds = {} if roofline is None else {b.block: 100 * b.bound_ms / roofline.measured_ms for b in roofline.blocks}
    x = Scale(0, max(shares.values()), _NAMES_END + 6, _BARS_END)
    told = "; ".join(f"{block} {share:.1f}%" for block, share in shares.items())
    drawing = Drawing(len(shares) * _ROW + 8, f"Share of {engine}'s time by block: {told}.")
    for place, (block, share) in enumerate(shares.items()):
        middle = place * _ROW + _ROW / 2 + 2
        drawing.text(_NAMES_END, middle + 4, block, "soft", "end")
        drawing.bar(x(0), x(share), middle, _BAR, f"bar {engine_style(number)}")
        if bounds.get(block):
            at = x(min(bounds[block], x.high))
            drawing.line(at, middle - _BAR / 2 - 2, at, middle + _BAR / 2 + 2, "bound")
        drawing.text(WIDTH - 2, middle + 4, f"{share:.1f}% ({share / 100 * total_ms:.2f} ms)", "", "end")
    return drawing.markup()
