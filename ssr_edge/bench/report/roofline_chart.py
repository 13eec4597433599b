"""Draws an engine's blocks under the roof of its machine."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ssr_edge.bench.profile.blocks import network_order
from ssr_edge.bench.profile.roofline import BlockRoof, Roofline
from ssr_edge.bench.report.charts import three_figures
from ssr_edge.bench.report.svg import WIDTH, Drawing, Scale, padded

_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, WIDTH - 14.0, 26.0, 238.0
_HEIGHT = 350.0
# Below the axis: what the marks and the slanted lines are.
_KEYS, _KEY_ROW, _KEY_WIDTH = 296.0, 20.0, 76.0
# Number of the shape of what is in no stage.
_REST = 5
# A block of a smaller share of the operations would only stretch the axes.
_LEAST_SHARE = 0.001
_GIGA = 1e9
_TIMES = "\N{MULTIPLICATION SIGN}"


def roofline_chart(roofline: Roofline, engine: str, number: int) -> Markup:
    """Multiply-adds a byte against multiply-adds a second, on log scales: roofs, blocks, and the whole network ringed.

    number: the engine's, for its color; a block's shape says its stage.
    """
    blocks = [block for block in roofline.blocks if block.operations >= _LEAST_SHARE * roofline.operations]
    blocks = [block for block in blocks if block.measured_ms > 0]
    x, y = _scales(roofline, blocks)
    drawing = Drawing(_HEIGHT, _told(roofline, blocks, engine))
    _axes(drawing, x, y)
    _roofs(drawing, roofline, x, y)
    for block in blocks:
        drawing.mark(x(block.intensity), y(block.operations_per_s / _GIGA), number, _key(block)[0])
    at = x(roofline.intensity), y(roofline.operations_per_s / _GIGA)
    drawing.ring(*at)
    _keys(drawing, roofline, blocks, number)
    return drawing.markup()


def _key(block: BlockRoof) -> tuple[int, str]:
    """Number of a block's shape, and what has it: the stem, a stage, or what is in none."""
    order = network_order(block.block)
    if len(order) > 1:
        return order[1] + 1, f"stages.{order[1]}"
    return (0 if block.block == "stem" else _REST), block.block


def _scales(roofline: Roofline, blocks: Sequence[BlockRoof]) -> tuple[Scale, Scale]:
    peak = roofline.peak / _GIGA
    ridge = roofline.peak / roofline.peaks.cache_copy_bytes_per_s
    places = [roofline.intensity, ridge, *(block.intensity for block in blocks)]
    rates = [roofline.operations_per_s / _GIGA, peak, *(block.operations_per_s / _GIGA for block in blocks)]
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
    drawing.text(2, 12, "G multiply-adds a second (log scale)", "soft")
    drawing.text((_LEFT + _RIGHT) / 2, _BOTTOM + 34, "multiply-adds a byte (log scale)", "soft", "middle")


def _roofs(drawing: Drawing, roofline: Roofline, x: Scale, y: Scale) -> None:
    """The engine's own peak with both slopes; that of FP32 too, where the rest of an INT8 engine is computed."""
    peaks, own = roofline.peaks, roofline.peak
    rates = peaks.multiply_adds_per_s
    for style, bytes_per_s in (("roof", peaks.cache_copy_bytes_per_s), ("roof memory", peaks.copy_bytes_per_s)):
        if corners := _roof(own, bytes_per_s, x, y):
            drawing.path(corners, style)
    named = roofline.precision if roofline.precision in rates else "fp32"
    drawing.text(_RIGHT, y(own / _GIGA) - 5, f"{named} peak {own / _GIGA:.0f} G/s", "", "end")
    if named == "int8":
        lower = y(rates["fp32"] / _GIGA)
        drawing.line(_LEFT, lower, _RIGHT, lower, "roof lower")
        # At the other end, since both peaks may be close.
        drawing.text(_LEFT + 4, lower + 14, f"fp32 peak {rates['fp32'] / _GIGA:.0f} G/s", "soft")


def _roof(peak: float, bytes_per_s: float, x: Scale, y: Scale) -> list[tuple[float, float]]:
    """From where the slope enters the plot to the ridge, then level; empty where all of it lies outside."""
    start = max(x.low, y.low * _GIGA / bytes_per_s)
    corners = [intensity for intensity in (start, peak / bytes_per_s, x.high) if start <= intensity <= x.high]
    return [(x(intensity), y(min(peak, intensity * bytes_per_s) / _GIGA)) for intensity in corners]


def _keys(drawing: Drawing, roofline: Roofline, blocks: Sequence[BlockRoof], number: int) -> None:
    """Three rows: the blocks' shapes, the ring, and the two slopes."""
    for place, (shape, name) in enumerate(dict.fromkeys(map(_key, blocks))):
        left = 8 + place * _KEY_WIDTH
        drawing.mark(left, _KEYS - 4, number, shape)
        drawing.text(left + 10, _KEYS, name)
    row = _KEYS + _KEY_ROW
    drawing.ring(10, row - 4)
    drawing.text(24, row, f"the whole network: {three_figures(roofline.gap)}{_TIMES} its bound", "strong")
    row += _KEY_ROW
    peaks = roofline.peaks
    slopes = (("roof", "in cache", peaks.cache_copy_bytes_per_s), ("roof memory", "in memory", peaks.copy_bytes_per_s))
    for left, (style, where, rate) in zip((2.0, WIDTH / 2), slopes, strict=True):
        drawing.line(left, row - 4, left + 26, row - 4, style)
        drawing.text(left + 32, row, f"copies {where}, {rate / _GIGA:.0f} GB/s")


def _told(roofline: Roofline, blocks: Sequence[BlockRoof], engine: str) -> str:
    peaks = roofline.peaks
    rates = ", ".join(f"{name} {rate / _GIGA:.0f}" for name, rate in peaks.multiply_adds_per_s.items())
    each = "; ".join(
        f"{block.block} {block.intensity:.0f} multiply-adds a byte, {block.operations_per_s / _GIGA:.1f} G/s, "
        f"{block.gap:.1f} times its bound"
        for block in blocks
    )
    return (
        f"Roofline of {engine}. Peaks in G multiply-adds/s: {rates}; copies {peaks.cache_copy_bytes_per_s / _GIGA:.0f} "
        f"GB/s in cache, {peaks.copy_bytes_per_s / _GIGA:.0f} GB/s in memory. The whole network: "
        f"{roofline.intensity:.0f} multiply-adds a byte, {roofline.operations_per_s / _GIGA:.1f} G/s, "
        f"{roofline.gap:.1f} times its bound. {each}."
    )
