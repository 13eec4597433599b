"""Draws the roofline chart of an engine."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ssr_edge.bench.profile.blocks import network_order
from ssr_edge.bench.profile.roofline import BlockRoof, Roofline
from ssr_edge.bench.report.charts import three_figures
from ssr_edge.bench.report.svg import WIDTH, Drawing, Scale, padded
from ssr_edge.common.text import TIMES

_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, WIDTH - 14.0, 26.0, 238.0
_HEIGHT = 350.0
# Legend below the axis.
_KEYS, _KEY_ROW, _KEY_WIDTH = 296.0, 20.0, 76.0
# Shape number of blocks outside the stages.
_REST = 5
# Blocks with a smaller share of the operations would only stretch the axes.
_LEAST_SHARE = 0.001
_GIGA = 1e9


def roofline_chart(roofline: Roofline, engine: str, number: int) -> Markup:
    """Multiply-adds per byte versus multiply-adds per second, on log scales: roofs, blocks, and the network (ringed).

    engine: its name ends in its precision. number: selects its color; a block's shape shows its stage.
    """
    blocks = [block for block in roofline.blocks if block.operations >= _LEAST_SHARE * roofline.operations]
    blocks = [block for block in blocks if block.measured_ms > 0]
    precision = engine.rsplit("-", 1)[-1]
    x, y = _scales(roofline, blocks, precision)
    drawing = Drawing(_HEIGHT, _description(roofline, blocks, engine))
    _axes(drawing, x, y)
    _roofs(drawing, roofline, precision, x, y)
    for block in blocks:
        drawing.mark(x(block.intensity), y(block.operations_per_s / _GIGA), number, _key(block)[0])
    at = x(roofline.intensity), y(roofline.operations_per_s / _GIGA)
    drawing.ring(*at)
    _keys(drawing, roofline, blocks, number)
    return drawing.markup()


def _key(block: BlockRoof) -> tuple[int, str]:
    """Number of a block's shape, and its legend entry: the stem, a stage, or the block itself."""
    order = network_order(block.block)
    if len(order) > 1:
        return order[1] + 1, f"stages.{order[1]}"
    return (0 if block.block == "stem" else _REST), block.block


def _scales(roofline: Roofline, blocks: Sequence[BlockRoof], precision: str) -> tuple[Scale, Scale]:
    peak = roofline.peaks.rate_in(precision)
    ridge = peak / roofline.peaks.cache_copy_bytes_per_s
    places = [roofline.intensity, ridge, *(block.intensity for block in blocks)]
    rates = [roofline.operations_per_s / _GIGA, peak / _GIGA, *(block.operations_per_s / _GIGA for block in blocks)]
    x = Scale(*padded(min(places), max(places), 0.12), _LEFT, _RIGHT, log=True)
    return x, Scale(*padded(min(rates), max(rates), 0.12), _BOTTOM, _TOP, log=True)


def _axes(drawing: Drawing, x: Scale, y: Scale) -> None:
    for tick in x.ticks():
        drawing.line(x(tick), _TOP, x(tick), _BOTTOM, "grid")
        drawing.text(x(tick), _BOTTOM + 16, f"{tick:g}", "soft", "middle")
    for tick in y.ticks():
        drawing.line(_LEFT, y(tick), _RIGHT, y(tick), "grid")
        drawing.text(_LEFT - 6, y(tick) + 4, f"{tick:g}", "soft", "end")
    drawing.line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "axis")
    drawing.text(2, 12, "G multiply-adds per second (log scale)", "soft")
    drawing.text((_LEFT + _RIGHT) / 2, _BOTTOM + 34, "multiply-adds per byte (log scale)", "soft", "middle")


def _roofs(drawing: Drawing, roofline: Roofline, precision: str, x: Scale, y: Scale) -> None:
    """The peak of the engine's precision with both slopes; for INT8 also the FP32 peak, used by its float blocks."""
    peaks = roofline.peaks
    own, rates = peaks.rate_in(precision), peaks.multiply_adds_per_s
    for style, bytes_per_s in (("roof", peaks.cache_copy_bytes_per_s), ("roof memory", peaks.copy_bytes_per_s)):
        if corners := _roof(own, bytes_per_s, x, y):
            drawing.path(corners, style)
    named = precision if precision in rates else "fp32"
    drawing.text(_RIGHT, y(own / _GIGA) - 5, f"{named} peak {own / _GIGA:.0f} G/s", "", "end")
    if named == "int8":
        lower = y(rates["fp32"] / _GIGA)
        drawing.line(_LEFT, lower, _RIGHT, lower, "roof lower")
        # At the left end, since the two peaks may be close.
        drawing.text(_LEFT + 4, lower + 14, f"fp32 peak {rates['fp32'] / _GIGA:.0f} G/s", "soft")


def _roof(peak: float, bytes_per_s: float, x: Scale, y: Scale) -> list[tuple[float, float]]:
    """The slope from where it enters the plot to the ridge, then level; empty if it lies outside the plot."""
    start = max(x.low, y.low * _GIGA / bytes_per_s)
    corners = [intensity for intensity in (start, peak / bytes_per_s, x.high) if start <= intensity <= x.high]
    return [(x(intensity), y(min(peak, intensity * bytes_per_s) / _GIGA)) for intensity in corners]


def _keys(drawing: Drawing, roofline: Roofline, blocks: Sequence[BlockRoof], number: int) -> None:
    """Legend in three rows: block shapes, the ring, and the two slopes."""
    for place, (shape, name) in enumerate(dict.fromkeys(map(_key, blocks))):
        left = 8 + place * _KEY_WIDTH
        drawing.mark(left, _KEYS - 4, number, shape)
        drawing.text(left + 10, _KEYS, name)
    row = _KEYS + _KEY_ROW
    drawing.ring(10, row - 4)
    drawing.text(24, row, f"whole network: {three_figures(roofline.gap)}{TIMES} its bound", "strong")
    row += _KEY_ROW
    peaks = roofline.peaks
    slopes = (("roof", "in cache", peaks.cache_copy_bytes_per_s), ("roof memory", "in memory", peaks.copy_bytes_per_s))
    for left, (style, where, rate) in zip((2.0, WIDTH / 2), slopes, strict=True):
        drawing.line(left, row - 4, left + 26, row - 4, style)
        drawing.text(left + 32, row, f"copies {where}, {rate / _GIGA:.0f} GB/s")


def _description(roofline: Roofline, blocks: Sequence[BlockRoof], engine: str) -> str:
    peaks = roofline.peaks
    rates = ", ".join(f"{name} {rate / _GIGA:.0f}" for name, rate in peaks.multiply_adds_per_s.items())
    each = "; ".join(
        f"{block.block} {block.intensity:.0f} multiply-adds per byte, {block.operations_per_s / _GIGA:.1f} G/s, "
        f"{block.gap:.1f} times its bound"
        for block in blocks
    )
    return (
        f"Roofline of {engine}. Peaks in G multiply-adds/s: {rates}; copies {peaks.cache_copy_bytes_per_s / _GIGA:.0f} "
        f"GB/s in cache, {peaks.copy_bytes_per_s / _GIGA:.0f} GB/s in memory. Whole network: "
        f"{roofline.intensity:.0f} multiply-adds per byte, {roofline.operations_per_s / _GIGA:.1f} G/s, "
        f"{roofline.gap:.1f} times its bound. {each}."
    )
