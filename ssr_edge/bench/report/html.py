"""Writes a report as one HTML page that needs nothing else: no script, no font, no image from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ssr_edge.bench.measure.engines import BASELINES
from ssr_edge.bench.measure.schedule import SCENARIOS
from ssr_edge.bench.measure.stages import STAGES
from ssr_edge.bench.report.charts import (
    SpeedAccuracyPoint,
    latency_chart,
    macro_f1_interval,
    speed_accuracy_chart,
    speedup_chart,
    three_figures,
)
from ssr_edge.bench.report.gpu_messages import describe_gpu
from ssr_edge.bench.report.layers_table import in_a_sentence
from ssr_edge.bench.report.report import DISTURBED_SHARE, Report, Result, scenario_name, write_text
from ssr_edge.bench.report.roofline_chart import roofline_chart
from ssr_edge.bench.report.share_chart import share_chart
from ssr_edge.bench.report.stages_chart import stages_chart
from ssr_edge.bench.report.summary import accuracy_cost, comparison, describe_noise, disturbance, fastest
from ssr_edge.bench.report.svg import engine_style, mark_path
from ssr_edge.breakhis.names import CLASS_NAMES, CLASSES, parse_name
from ssr_edge.common.text import printable
from ssr_edge.evaluation.metrics import Metrics, measure
from ssr_edge.evaluation.mistakes import worst_mistakes

_MISTAKES = 6


@dataclass(frozen=True)
class Evaluation:
    """The engine whose labels are shown in detail: its figures and its surest mistakes."""

    engine: str
    metrics: Metrics


def write_html(report: Report, path: Path) -> None:
    """Writes the page in one step.

    Raises:
        UsageError: the file can't be written.
    """
    write_text(path, render(report), "--html")


def render(report: Report) -> str:
    """The page. Whatever came from outside, file names too, is escaped."""
    templates = Environment(
        loader=PackageLoader("ssr_edge.bench"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["scenario"] = scenario_name
    templates.filters["printable"] = printable
    templates.filters["figures"] = _figures
    templates.filters["gpu"] = describe_gpu
    templates.filters["ratio"] = three_figures
    # Engines keep their color and shape throughout the page; the baseline's are gray and round.
    names = [row.task.engine for row in report.results] + [row.engine for row in report.accuracy]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    judged = _judged(report)
    return templates.get_template("report.html").render(
        report=report,
        numbers=numbers,
        mark_path=mark_path,
        engine_style=engine_style,
        headline=comparison(report),
        cost=accuracy_cost(report),
        disturbance=disturbance(report) if report.disturbed else None,
        disturbed_share=DISTURBED_SHARE,
        tiles=_tiles(report),
        over=report.speedups[0].over if report.speedups else None,
        engines=[(name, list(rows)) for name, rows in groupby(report.results, lambda row: row.task.engine)],
        speedups={row.task: row.ratio for row in report.speedups},
        speedup_chart=speedup_chart(report.speedups, numbers) if report.speedups else None,
        latency_charts=list(_latency_charts(report, numbers)),
        speed_accuracy=_speed_accuracy(report, numbers),
        judged=judged,
        mistakes=worst_mistakes(report.images, report.predictions[judged.engine], _MISTAKES) if judged else [],
        breakhis=any(parse_name(path) for path in report.images.paths),
        classes=CLASSES,
        class_names=CLASS_NAMES,
        noise_caption=describe_noise(report),
        batches=[(name, found) for name, found in report.batch_ms.items() if len(found) > 1 and name in numbers],
        stages=_stages(report),
        rooflines=[
            (name, in_a_sentence(name, found), roofline_chart(found, name, numbers[name]))
            for name, found in report.rooflines.items()
        ],
        shares=[
            (name, found, share_chart(found, name, numbers[name], report.rooflines.get(name)))
            for name, found in report.profiles.items()
        ],
        noise=[(row, _spread(row)) for row in report.results if row.task.scenario == "single-stream"],
        cores=_cores(report.environment["cores"]),
        machine=_machine(report.environment),
    )


def _tiles(report: Report) -> list[tuple[str, str]]:
    """The figures that say most, each with the words below it."""
    best = fastest(report)
    if best is None:
        return []
    ms = {row.task.engine: row.latency.p50 for row in report.results if row.task.scenario == "single-stream"}
    ratio = best.ratio
    tiles = [
        (
            f"{ratio.ratio:.1f}\N{MULTIPLICATION SIGN}",
            f"faster than {best.over}; 95% [{ratio.low:.1f}, {ratio.high:.1f}]",
        ),
        (f"{_figures(ms[best.task.engine])} ms", f"an image, median; {best.over} {_figures(ms[best.over])} ms"),
    ]
    rows = {row.engine: row for row in report.accuracy}
    row, base = rows.get(best.task.engine), rows.get(best.over)
    if row is not None and row.macro_f1 is not None:
        against = "" if base is None or base.macro_f1 is None else f"; {base.engine} {base.macro_f1:.3f}"
        tiles.append((f"{row.macro_f1:.3f}", f"macro-F1 on {row.labeled} images{against}"))
    if row is not None and row.agreement_with_fp32 is not None:
        tiles.append((f"{row.agreement_with_fp32:.1%}", f"of {row.images} labels are those of FP32"))
    return tiles


def _latency_charts(report: Report, numbers: dict[str, int]) -> Iterator[tuple[str, Markup]]:
    """A chart for each scenario that has times of its own. End-to-end has one value a round."""
    # Offline's batches differ between engines: their times are no comparison, their images a second are.
    for scenario in (name for name in SCENARIOS if name != "offline"):
        rows = [row for row in report.results if row.task.scenario == scenario]
        if rows:
            yield scenario, latency_chart(rows, numbers)


def _stages(report: Report) -> tuple[str, dict[str, float], Markup] | None:
    """The engine that end-to-end is shown of, the fastest or for want of one the baseline; its stages and their bar."""
    best = fastest(report)
    names = [] if best is None else [best.task.engine]
    took = {row.task.engine: row.latency.p50 for row in report.results if row.task.scenario == "end-to-end"}
    for name in (*names, *BASELINES):
        stages = report.stages.get(name, {})
        if len(stages) == len(STAGES) and name in took:
            return name, stages, stages_chart(name, stages, took[name])
    return None


def _speed_accuracy(report: Report, numbers: dict[str, int]) -> tuple[str, Markup] | None:
    """The chart and what its height is: macro-F1 where classes are known, else agreement with FP32."""
    ms = {row.task.engine: row.latency.p50 for row in report.results if row.task.scenario == "single-stream"}
    points: list[SpeedAccuracyPoint] = []
    what = "macro-F1"
    for row in report.accuracy:
        if row.engine not in ms:
            continue
        if row.macro_f1 is not None:
            low, high = macro_f1_interval(_metrics(report, row.engine).confusion, seed=0)
            points.append(SpeedAccuracyPoint(row.engine, ms[row.engine], row.macro_f1, low, high))
        elif row.agreement_with_fp32 is not None:
            what = "agreement with FP32"
            share = row.agreement_with_fp32
            points.append(SpeedAccuracyPoint(row.engine, ms[row.engine], share, share, share))
    return (what, speed_accuracy_chart(points, what, numbers)) if points else None


def _judged(report: Report) -> Evaluation | None:
    """The fastest engine, or for want of one the baseline, if any of the images has a known class."""
    best = fastest(report)
    names = [] if best is None else [best.task.engine]
    for name in (*names, *BASELINES):
        if any(row.engine == name and row.labeled for row in report.accuracy):
            return Evaluation(name, _metrics(report, name))
    return None


def _metrics(report: Report, engine: str) -> Metrics:
    pairs = zip(report.images.truth, report.predictions[engine].labels, strict=True)
    known = [(truth, label) for truth, label in pairs if truth is not None and label is not None]
    return measure([truth for truth, _ in known], [label for _, label in known])


def _spread(row: Result) -> tuple[float, float]:
    """The middle half of the rounds' medians, in ms."""
    low, high = np.percentile(row.round_medians, (25, 75))
    return float(low), float(high)


def _machine(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """What the machine is, as names and words; what is not known is left out."""
    memory, gpu = facts["memory_gb"], facts["gpu"]
    rows = [
        ("board", facts["board"]),
        ("processor", facts["cpu"]),
        ("may use", _cores(facts["cores"])),
        ("instruction sets", ", ".join(facts["instruction_sets"])),
        *_conditions(facts),
        ("memory", None if memory is None else f"{memory:g} GB"),
        ("GPU", None if gpu is None else f"{gpu['name']}, compute capability {gpu['compute_capability']}"),
        ("operating system", facts["os"]),
        ("Python", facts["python"]),
        ("packages", ", ".join(f"{name} {version}" for name, version in facts["packages"].items())),
    ]
    return [(name, words) for name, words in rows if words]


def _conditions(facts: dict[str, Any]) -> list[tuple[str, str | None]]:
    """What else decides how fast the processor is, as `cpu_conditions` found it; older files lack some of it."""
    mhz = facts.get("mhz") or {}
    frequency = ", ".join(f"{name} {mhz[name]:g} MHz" for name in ("now", "min", "max") if mhz.get(name))
    turbo, limit = facts.get("turbo"), facts.get("cpu_limit")
    return [
        ("runs on CPUs", ", ".join(map(str, facts.get("affinity") or ()))),
        ("threads a core", str(facts.get("threads_per_core") or "")),
        ("frequency", frequency),
        ("turbo", None if turbo is None else "on" if turbo else "off"),
        ("frequency governor", facts["governor"]),
        ("container's limit", None if limit is None else f"{limit:g} cores"),
        ("virtual machine", "yes" if facts.get("virtual") else None),
    ]


def _figures(value: float) -> str:
    """A time or a rate: more than four figures of it mean nothing."""
    return f"{value:.2f}" if value < 100 else f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def _cores(number: int) -> str:
    return f"{number} core" if number == 1 else f"{number} cores"
