"""SVG primitives of the charts: scales, ticks, lines, marks and text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from markupsafe import Markup

# Chart width in SVG units; on a 400 px screen a unit is slightly less than a pixel, which keeps text readable.
WIDTH = 400.0
_FEWEST_TICKS = 3
_MANTISSAS = ((1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
# Classes e0 to e7 of report.css.
_COLORS = 8
_MARKS = (
    "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0z",
    "M-4,-4h8v8h-8z",
    "M0,-5.5L5.2,4H-5.2z",
    "M0,-6L6,0L0,6L-6,0z",
    "M0,5.5L5.2,-4H-5.2z",
    "M-2,-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
)


@dataclass(frozen=True)
class Scale:
    """Maps values in [low, high] to coordinates from `start` to `end`. log: logarithmic scale, for values > 0."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Coordinate of a value."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def ticks(self, most: int = 6) -> list[float]:
        """At most `most` round values within the scale."""
        return log_ticks(self.low, self.high, most) if self.log else linear_ticks(self.low, self.high, most)


def linear_ticks(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, within [low, high]; low < high."""
    power = 10.0 ** math.floor(math.log10((high - low) / _FEWEST_TICKS))
    for step in (power * factor for factor in (1, 2, 5, 10)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [number * step for number in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round values within [low, high], evenly distributed on a log scale; 0 < low < high."""
    decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    for mantissas in _MANTISSAS:
        ticks = [value for decade in decades for m in mantissas if low <= (value := m * 10.0**decade) <= high]
        if _FEWEST_TICKS <= len(ticks) <= most:
            return ticks
    powers = [10.0**decade for decade in decades if 10.0**decade >= low]
    if len(powers) > most:
        return powers[:: -(-len(powers) // most)]
    return linear_ticks(low, high, most)


class Drawing:
    """Builds an SVG. The XML writer escapes text; colors are CSS classes defined by the page."""

    def __init__(self, height: float, label: str) -> None:
        """label: description of the chart (aria-label for screen readers)."""
        self._root = ElementTree.Element(
            "svg", {"viewBox": f"0 0 {WIDTH:g} {height:g}", "role": "img", "aria-label": label, "class": "chart"}
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """A straight line."""
        self._add("line", style, x1=x1, y1=y1, x2=x2, y2=y2)

    def path(self, points: Sequence[tuple[float, float]], style: str) -> None:
        """A polyline."""
        self._add("path", style, d="M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points))

    def bar(self, x1: float, x2: float, y: float, height: float, style: str) -> None:
        """A bar from x1 to x2 >= x1, centered at y."""
        self._add("rect", style, x=x1, y=y - height / 2, width=x2 - x1, height=height)

    def mark(self, x: float, y: float, number: int, shape: int | None = None) -> None:
        """Mark of engine `number` in its shape and color. shape: number of another shape, in the engine's color."""
        outline = mark_path(number if shape is None else shape)
        self._add("path", f"mark {engine_style(number)}", d=outline, transform=f"translate({x:.1f},{y:.1f})")

    def ring(self, x: float, y: float) -> None:
        """A ring that highlights a position."""
        self._add("circle", "ring", cx=x, cy=y, r=8.0)

    def text(self, x: float, y: float, text: str, style: str = "", anchor: str = "start") -> None:
        """Text whose `start`, `middle` or `end` (anchor) lies at x."""
        self._add("text", style, x=x, y=y, **{"text-anchor": anchor}).text = text

    def markup(self) -> Markup:
        """The drawing as an HTML element."""
        return Markup(ElementTree.tostring(self._root, encoding="unicode"))  # escaped by ElementTree

    def _add(self, tag: str, style: str, **attributes: float | str) -> ElementTree.Element:
        values = {name: f"{v:.1f}" if isinstance(v, float) else str(v) for name, v in attributes.items()}
        return ElementTree.SubElement(self._root, tag, values | ({"class": style} if style else {}))


def engine_style(number: int) -> str:
    """CSS class of the color of engine `number`."""
    return f"e{number % _COLORS}"


def mark_path(number: int) -> str:
    """Outline of the mark of engine `number`, about 10 units wide, centered at 0, 0."""
    return _MARKS[number % len(_MARKS)]


def padded(low: float, high: float, share: float = 0.06) -> tuple[float, float]:
    """Widens a range of positive values at both ends, by a fraction of it on a log scale."""
    factor = max((high / low) ** share, 1.02)
    return low / factor, high * factor
