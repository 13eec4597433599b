"""Draws each block's share of an engine's time, beside the shortest time that the machine allows it."""

from __future__ import annotations

from markupsafe import Markup

from ssr_edge.bench.layers import Profile, by_block
from ssr_edge.bench.roofline import Roofline
from ssr_edge.bench.svg import WIDTH, Drawing, Scale, engine_style

# Names to the left of the bars, figures to the right.
_NAMES_END, _BARS_END = 124.0, 306.0
_ROW, _BAR = 20.0, 12.0


def share_chart(profile: Profile, engine: str, number: int, roofline: Roofline | None = None) -> Markup:
    """A bar for each block in the network's order, in percent of the profiled time.

    number: the engine's, for its colour. roofline: a line across each bar marks the block's bound; None draws none.
    """
    times = by_block(profile.layers)
    shares = {block: 100 * ms / profile.total_ms for block, ms in times.items()}
    bounds = {} if roofline is None else {b.block: 100 * b.bound_ms / roofline.measured_ms for b in roofline.blocks}
    x = Scale(0, max(shares.values()), _NAMES_END + 6, _BARS_END)
    told = "; ".join(f"{block} {share:.1f}%" for block, share in shares.items())
    drawing = Drawing(len(shares) * _ROW + 8, f"Share of {engine}'s time by block: {told}.")
    for place, (block, share) in enumerate(shares.items()):
        middle = place * _ROW + _ROW / 2 + 2
        drawing.text(_NAMES_END, middle + 4, short_name(block), "soft", "end")
        drawing.bar(x(0), x(share), middle, _BAR, f"bar {engine_style(number)}")
        if bounds.get(block):
            at = x(min(bounds[block], x.high))
            drawing.line(at, middle - _BAR / 2 - 2, at, middle + _BAR / 2 + 2, "bound")
        drawing.text(WIDTH - 2, middle + 4, f"{share:.1f}% ({times[block]:.2f} ms)", "", "end")
    return drawing.markup()


def short_name(block: str) -> str:
    """A block's name in words: `stage 1, block 2` of `stages.0.blocks.1`."""
    parts = block.split(".")
    return f"stage {int(parts[1]) + 1}, block {int(parts[3]) + 1}" if len(parts) == 4 else block
