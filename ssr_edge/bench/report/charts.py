"""Draws the charts of latencies, speedups with intervals, and speed versus accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ssr_edge.bench.measure.rounds import Times
from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.report.schema import SpeedupRow
from ssr_edge.bench.report.svg import WIDTH, Drawing, Scale, engine_style, padded
from ssr_edge.common.text import TIMES
from ssr_edge.evaluation.metrics import scores

_LEFT, _RIGHT = 46.0, WIDTH - 14.0
_TOP, _BOTTOM = 12.0, 218.0
_HEIGHT = 262.0
# More points would not change the look of a curve.
_CURVE_POINTS = 101
_SHARES = (0, 25, 50, 75, 90, 100)
# Speedup chart: names to the left of the plot, figures to the right.
_NAMES_END, _PLOT_END = 122.0, 278.0
_ROW, _GROUP = 21.0, 26.0
# As many labels as fit side by side.
_RATIO_TICKS = 5
_RESAMPLES = 2000


@dataclass(frozen=True)
class SpeedAccuracyPoint:
    """An engine in the speed-accuracy chart. ms: per image at batch 1. low, high: 95 % interval of the share."""

    engine: str
    ms: float
    share: float
    low: float
    high: float


def three_figures(ratio: float) -> str:
    """A ratio rounded to its meaningful digits."""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}" if ratio < 100 else f"{ratio:.0f}"


def latency_chart(call_ms: Mapping[Task, Times], numbers: Mapping[str, int]) -> Markup:
    """Cumulative distribution of call durations, one curve per engine. call_ms: tasks of one scenario."""
    times = {task.engine: np.sort([ms for turn in rounds for ms in turn]) for task, rounds in call_ms.items()}
    task = next(iter(call_ms))
    low, high = padded(min(float(ms[0]) for ms in times.values()), max(float(ms[-1]) for ms in times.values()))
    x = Scale(low, high, _LEFT, _RIGHT, log=True)
    y = Scale(0, 100, _BOTTOM, _TOP)
    medians = ", ".join(f"{name} {np.median(ms):.2f} ms" for name, ms in times.items())
    drawing = Drawing(_HEIGHT, f"Latency, {task.label}. Medians: {medians}.")
    _axes(drawing, x, y, list(_SHARES), "%")
    unit = {"end-to-end": "ms per image", "multi-stream": "ms per query of 8"}.get(task.scenario, "ms per call")
    drawing.text((_LEFT + _RIGHT) / 2, _HEIGHT - 8, f"{unit} (log scale)", "soft", "middle")
    for name, ms in times.items():
        drawing.path(_steps(ms, x, y), f"curve {engine_style(numbers[name])}")
    for name, ms in times.items():
        drawing.mark(x(float(np.median(ms))), y(50), numbers[name])
    return drawing.markup()


def speedup_chart(speedups: Sequence[SpeedupRow], numbers: Mapping[str, int]) -> Markup:
    """One row per speedup on a log scale: a mark, a line for the interval, and the numbers."""
    engines = list(dict.fromkeys(row.engine for row in speedups))
    height = len(engines) * _GROUP + len(speedups) * _ROW + 48
    low = min(1.0, *(row.ci95[0] for row in speedups))
    high = max(1.0, *(row.ci95[1] for row in speedups))
    x = Scale(*padded(low, high), _NAMES_END, _PLOT_END, log=True)
    figures = "; ".join(f"{row.engine} {row.task.label} {_figures(row)}" for row in speedups)
    drawing = Drawing(height, f"Speedup over {speedups[0].over}, with 95% intervals: {figures}.")
    place = 0.0
    for engine in engines:
        place += _GROUP
        drawing.text(2, place - 7, engine, "strong")
        rows = [row for row in speedups if row.engine == engine]
        # Next to the rows only: the engine name above may be long.
        for tick in x.ticks(_RATIO_TICKS):
            drawing.line(x(tick), place - 2, x(tick), place + len(rows) * _ROW - 2, "grid")
        drawing.line(x(1), place - 2, x(1), place + len(rows) * _ROW - 2, "axis")
        for row in rows:
            _speedup_row(drawing, row, place + _ROW / 2 - 2, x, numbers[engine])
            place += _ROW
    for tick in x.ticks(_RATIO_TICKS):
        drawing.text(x(tick), place + 14, f"{tick:g}{TIMES}", "soft", "middle")
    drawing.text((_NAMES_END + _PLOT_END) / 2, height - 8, "speedup (log scale)", "soft", "middle")
    return drawing.markup()


def speed_accuracy_chart(points: Sequence[SpeedAccuracyPoint], what: str, numbers: Mapping[str, int]) -> Markup:
    """Time per image versus a share, as marks with intervals. what: name of the share."""
    x = Scale(*padded(min(p.ms for p in points), max(p.ms for p in points), 0.12), _LEFT, _RIGHT, log=True)
    lowest, highest = min(p.low for p in points), max(p.high for p in points)
    room = max(0.15 * (highest - lowest), 0.01)
    y = Scale(max(0.0, lowest - room), min(1.0, highest + room), _BOTTOM, _TOP)
    figures = "; ".join(f"{p.engine} {p.ms:.2f} ms, {p.share:.3f} ({p.low:.3f} to {p.high:.3f})" for p in points)
    drawing = Drawing(_HEIGHT, f"Time per image versus {what}: {figures}.")
    _axes(drawing, x, y, y.ticks(), "")
    drawing.text((_LEFT + _RIGHT) / 2, _HEIGHT - 8, "ms per image at batch 1 (log scale)", "soft", "middle")
    for point in points:
        drawing.line(
            x(point.ms), y(point.low), x(point.ms), y(point.high), f"interval {engine_style(numbers[point.engine])}"
        )
        drawing.mark(x(point.ms), y(point.share), numbers[point.engine])
    return drawing.markup()


def macro_f1_interval(confusion: Sequence[Sequence[int]], seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of macro-F1 over images. confusion: counts [8, 8], at least one image."""
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
    """Corners of the empirical distribution of sorted times [n], thinned for large n."""
    kept = np.unique(np.linspace(0, len(ms) - 1, _CURVE_POINTS).round().astype(int))
    corners: list[tuple[float, float]] = []
    share = 0.0
    for number in kept:
        at = x(float(ms[number]))
        corners.append((at, y(share)))
        share = 100 * (number + 1) / len(ms)
        corners.append((at, y(share)))
    return corners


def _speedup_row(drawing: Drawing, row: SpeedupRow, y: float, x: Scale, number: int) -> None:
    drawing.text(10, y + 4, row.task.label, "soft")
    drawing.line(x(row.ci95[0]), y, x(row.ci95[1]), y, f"interval {engine_style(number)}")
    drawing.mark(x(row.ratio), y, number)
    drawing.text(WIDTH - 2, y + 4, _figures(row), "", "end")


def _figures(row: SpeedupRow) -> str:
    ratio, low, high = (three_figures(value) for value in (row.ratio, *row.ci95))
    return f"{ratio} [{low}, {high}]"
