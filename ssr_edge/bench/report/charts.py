"""Draws the report's charts: latencies, speed-ups with their intervals, and speed against accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ssr_edge.bench.report.report import Result, Speedup, scenario_name
from ssr_edge.bench.report.svg import WIDTH, Drawing, Scale, engine_style, padded
from ssr_edge.evaluation.metrics import scores

_LEFT, _RIGHT = 46.0, WIDTH - 14.0
_TOP, _BOTTOM = 12.0, 218.0
_HEIGHT = 262.0
# A curve of more points looks the same.
_CURVE_POINTS = 101
_SHARES = (0, 25, 50, 75, 90, 100)
# Of the speed-ups: what lies to the left are names, to the right figures.
_NAMES_END, _PLOT_END = 122.0, 278.0
_ROW, _GROUP = 21.0, 26.0
# So many of these labels fit side by side.
_RATIO_TICKS = 5
_RESAMPLES = 2000
_TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class SpeedAccuracyPoint:
    """An engine in the speed-accuracy chart. ms: of one image at batch 1. low, high: 95 % interval of the share."""

    engine: str
    ms: float
    share: float
    low: float
    high: float


def three_figures(ratio: float) -> str:
    """A ratio with as many digits as such ratios are good for."""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}" if ratio < 100 else f"{ratio:.0f}"


def latency_chart(results: Sequence[Result], numbers: Mapping[str, int]) -> Markup:
    """Share of calls that were as fast as this or faster, a curve for each engine; one scenario's results."""
    times = {row.task.engine: np.sort([ms for turn in row.times for ms in turn]) for row in results}
    low, high = padded(min(float(ms[0]) for ms in times.values()), max(float(ms[-1]) for ms in times.values()))
    x = Scale(low, high, _LEFT, _RIGHT, log=True)
    y = Scale(0, 100, _BOTTOM, _TOP)
    medians = ", ".join(f"{name} {np.median(ms):.2f} ms" for name, ms in times.items())
    drawing = Drawing(_HEIGHT, f"Latency, {scenario_name(results[0].task)}. Medians: {medians}.")
    _axes(drawing, x, y, list(_SHARES), "%")
    scenario = results[0].task.scenario
    unit = {"end-to-end": "ms an image", "multi-stream": "ms a query of 8"}.get(scenario, "ms a call")
    drawing.text((_LEFT + _RIGHT) / 2, _HEIGHT - 8, f"{unit} (log scale)", "soft", "middle")
    for name, ms in times.items():
        drawing.path(_steps(ms, x, y), f"curve {engine_style(numbers[name])}")
    for name, ms in times.items():
        drawing.mark(x(float(np.median(ms))), y(50), numbers[name])
    return drawing.markup()


def speedup_chart(speedups: Sequence[Speedup], numbers: Mapping[str, int]) -> Markup:
    """A row for each speed-up: its place on a log scale, its interval as a line, and both in figures."""
    engines = list(dict.fromkeys(row.task.engine for row in speedups))
    height = len(engines) * _GROUP + len(speedups) * _ROW + 48
    low = min(1.0, *(row.ratio.low for row in speedups))
    high = max(1.0, *(row.ratio.high for row in speedups))
    x = Scale(*padded(low, high), _NAMES_END, _PLOT_END, log=True)
    told = "; ".join(f"{row.task.engine} {scenario_name(row.task)} {_figures(row)}" for row in speedups)
    drawing = Drawing(height, f"Times faster than {speedups[0].over}, with 95% intervals: {told}.")
    place = 0.0
    for engine in engines:
        place += _GROUP
        drawing.text(2, place - 7, engine, "strong")
        rows = [row for row in speedups if row.task.engine == engine]
        # Between the rows alone: the engine's name may be long.
        for tick in x.ticks(_RATIO_TICKS):
            drawing.line(x(tick), place - 2, x(tick), place + len(rows) * _ROW - 2, "grid")
        drawing.line(x(1), place - 2, x(1), place + len(rows) * _ROW - 2, "axis")
        for row in rows:
            _speedup_row(drawing, row, place + _ROW / 2 - 2, x, numbers[engine])
            place += _ROW
    for tick in x.ticks(_RATIO_TICKS):
        drawing.text(x(tick), place + 14, f"{tick:g}{_TIMES}", "soft", "middle")
    drawing.text((_NAMES_END + _PLOT_END) / 2, height - 8, "times faster (log scale)", "soft", "middle")
    return drawing.markup()


def speed_accuracy_chart(points: Sequence[SpeedAccuracyPoint], what: str, numbers: Mapping[str, int]) -> Markup:
    """Time of one image against a share, as marks with intervals. what: the share's name."""
    x = Scale(*padded(min(p.ms for p in points), max(p.ms for p in points), 0.12), _LEFT, _RIGHT, log=True)
    lowest, highest = min(p.low for p in points), max(p.high for p in points)
    room = max(0.15 * (highest - lowest), 0.01)
    y = Scale(max(0.0, lowest - room), min(1.0, highest + room), _BOTTOM, _TOP)
    told = "; ".join(f"{p.engine} {p.ms:.2f} ms, {p.share:.3f} ({p.low:.3f} to {p.high:.3f})" for p in points)
    drawing = Drawing(_HEIGHT, f"Time of one image against {what}: {told}.")
    _axes(drawing, x, y, y.ticks(), "")
    drawing.text((_LEFT + _RIGHT) / 2, _HEIGHT - 8, "ms an image at batch 1 (log scale)", "soft", "middle")
    for point in points:
        drawing.line(
            x(point.ms), y(point.low), x(point.ms), y(point.high), f"interval {engine_style(numbers[point.engine])}"
        )
        drawing.mark(x(point.ms), y(point.share), numbers[point.engine])
    return drawing.markup()


def macro_f1_interval(confusion: Sequence[Sequence[int]], seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of macro-F1 over images. confusion: counts [8, 8] of at least one image."""
    counts = np.asarray(confusion)
    shares = counts.ravel() / counts.sum()
    drawn = np.random.default_rng(seed).multinomial(counts.sum(), shares, _RESAMPLES).reshape(-1, *counts.shape)
    low, high = np.percentile(scores(drawn).macro_f1, (2.5, 97.5))
    return float(low), float(high)


def _axes(drawing: Drawing, x: Scale, y: Scale, shares: Sequence[float], unit: str) -> None:
    for tick in x.ticks():
        drawing.line(x(tick), _TOP, x(tick), _BOTTOM, "grid")
        drawing.text(x(tick), _BOTTOM + 16, f"{tick:g}", "soft", "middle")
    for share in shares:
        drawing.line(_LEFT, y(share), _RIGHT, y(share), "grid")
        drawing.text(_LEFT - 6, y(share) + 4, f"{share:g}{unit}", "soft", "end")
    drawing.line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "axis")


def _steps(ms: np.ndarray[tuple[int], np.dtype[np.float64]], x: Scale, y: Scale) -> list[tuple[float, float]]:
    """Corners of the empirical distribution of sorted times [n], thinned out where n is large."""
    kept = np.unique(np.linspace(0, len(ms) - 1, _CURVE_POINTS).round().astype(int))
    corners: list[tuple[float, float]] = []
    share = 0.0
    for number in kept:
        at = x(float(ms[number]))
        corners.append((at, y(share)))
        share = 100 * (number + 1) / len(ms)
        corners.append((at, y(share)))
    return corners


def _speedup_row(drawing: Drawing, row: Speedup, y: float, x: Scale, number: int) -> None:
    drawing.text(10, y + 4, scenario_name(row.task), "soft")
    drawing.line(x(row.ratio.low), y, x(row.ratio.high), y, f"interval {engine_style(number)}")
    drawing.mark(x(row.ratio.ratio), y, number)
    drawing.text(WIDTH - 2, y + 4, _figures(row), "", "end")


def _figures(row: Speedup) -> str:
    ratio, low, high = (three_figures(value) for value in (row.ratio.ratio, row.ratio.low, row.ratio.high))
    return f"{ratio} [{low}, {high}]"
