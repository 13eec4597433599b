"""Writes a report as one self-contained HTML page: no scripts, and no fonts or images from elsewhere."""

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
from ssr_edge.bench.report.bar_charts import share_chart, stages_chart
from ssr_edge.bench.report.build import DISTURBED_SHARE, BenchRun
from ssr_edge.bench.report.charts import (
    SpeedAccuracyPoint,
    latency_chart,
    macro_f1_interval,
    speed_accuracy_chart,
    speedup_chart,
    three_figures,
)
from ssr_edge.bench.report.roofline_chart import roofline_chart
from ssr_edge.bench.report.schema import BenchFile, ResultRow
from ssr_edge.bench.report.summary import (
    accuracy_cost,
    describe_gpu,
    describe_noise,
    describe_roofline,
    disturbance,
    fastest,
    headline,
)
from ssr_edge.bench.report.svg import engine_style, mark_path
from ssr_edge.bench.report.tables import joules_by_task
from ssr_edge.bench.report.write import write_text
from ssr_edge.breakhis.names import CLASS_NAMES, CLASSES, parse_name
from ssr_edge.common.text import TIMES, printable
from ssr_edge.evaluation.metrics import Metrics, measure
from ssr_edge.evaluation.mistakes import worst_mistakes

_MISTAKES = 6


@dataclass(frozen=True)
class Evaluated:
    """The engine whose labels are shown in detail, and its metrics."""

    engine: str
    metrics: Metrics


def write_html(run: BenchRun, path: Path) -> None:
    """Writes the page atomically.

    Raises:
        UsageError: the file can't be written.
    """
    write_text(path, render(run), "--html")


def render(run: BenchRun) -> str:
    """The page. All external text, including file names, is escaped."""
    bench = run.bench
    templates = Environment(
        loader=PackageLoader("ssr_edge.bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["printable"] = printable
    templates.filters["figures"] = _figures
    templates.filters["gpu"] = describe_gpu
    templates.filters["ratio"] = three_figures
    # An engine keeps its color and shape throughout the page; the baseline is gray and round.
    names = [row.engine for row in bench.results] + [row.engine for row in bench.accuracy]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return templates.get_template("report.html").render(
        report=bench,
        numbers=numbers,
        mark_path=mark_path,
        engine_style=engine_style,
        headline=headline(bench),
        cost=accuracy_cost(bench),
        disturbance=disturbance(bench) if bench.disturbed else None,
        disturbed_share=DISTURBED_SHARE,
        tiles=_tiles(bench),
        over=bench.speedup[0].over if bench.speedup else None,
        engines=[(name, list(rows)) for name, rows in groupby(bench.results, lambda row: row.engine)],
        speedups={row.task: row for row in bench.speedup},
        energy=joules_by_task(bench.energy),
        classes=CLASSES,
        class_names=CLASS_NAMES,
        noise_lines=describe_noise(bench),
        batches=[(name, e.batches) for name, e in bench.engines.items() if len(e.batches) > 1 and name in numbers],
        spreads=[(row, _spread(row)) for row in bench.results if row.scenario == "single-stream"],
        cores=_cores(bench.environment.cores),
        machine=_machine(bench.environment.model_dump()),
        **_charts(run, numbers),
        **_detail(run),
    )


def _charts(run: BenchRun, numbers: dict[str, int]) -> dict[str, Any]:
    bench = run.bench
    return {
        "speedup_chart": speedup_chart(bench.speedup, numbers) if bench.speedup else None,
        "latency_charts": list(_latency_charts(run, numbers)),
        "speed_accuracy": _speed_accuracy(run, numbers),
        "stages": _stages(bench),
        "rooflines": [
            (name, describe_roofline(name, found), roofline_chart(found, name, numbers[name]))
            for name, found in bench.rooflines.items()
        ],
        "shares": [
            (name, found, share_chart(found, name, numbers[name], bench.rooflines.get(name)))
            for name, found in bench.layers.items()
        ],
    }


def _detail(run: BenchRun) -> dict[str, Any]:
    evaluated = _evaluated(run)
    return {
        "evaluated": evaluated,
        "mistakes": worst_mistakes(run.images, run.predictions[evaluated.engine], _MISTAKES) if evaluated else [],
        "breakhis": any(parse_name(path) for path in run.images.paths),
    }


def _tiles(bench: BenchFile) -> list[tuple[str, str]]:
    """The key figures, each with its caption."""
    best = fastest(bench)
    if best is None:
        return []
    ms = {row.engine: row.latency_ms.p50 for row in bench.results if row.scenario == "single-stream"}
    low, high = best.ci95
    tiles = [
        (f"{best.ratio:.1f}{TIMES}", f"faster than {best.over}; 95% [{low:.1f}, {high:.1f}]"),
        (f"{_figures(ms[best.engine])} ms", f"per image, median; {best.over} {_figures(ms[best.over])} ms"),
    ]
    rows = {row.engine: row for row in bench.accuracy}
    row, base = rows.get(best.engine), rows.get(best.over)
    if row is not None and row.macro_f1 is not None:
        against = "" if base is None or base.macro_f1 is None else f"; {base.engine} {base.macro_f1:.3f}"
        tiles.append((f"{row.macro_f1:.3f}", f"macro-F1 on {row.labeled} images{against}"))
    if row is not None and row.agreement_with_fp32 is not None:
        tiles.append((f"{row.agreement_with_fp32:.1%}", f"of {row.images} labels agree with FP32"))
    return tiles


def _latency_charts(run: BenchRun, numbers: dict[str, int]) -> Iterator[tuple[str, Markup]]:
    """One chart per scenario with per-call times. End-to-end has one value per round."""
    # Offline batch sizes differ between engines: compare throughput there, not latency.
    for scenario in (name for name in SCENARIOS if name != "offline"):
        call_ms = {task: rounds for task, rounds in run.call_ms.items() if task.scenario == scenario}
        if call_ms:
            yield scenario, latency_chart(call_ms, numbers)


def _stages(bench: BenchFile) -> tuple[str, dict[str, float], Markup] | None:
    """Name, stages and chart of the fastest engine with end-to-end stages, otherwise of the baseline."""
    best = fastest(bench)
    names = [] if best is None else [best.engine]
    pipeline_ms = {row.engine: row.latency_ms.p50 for row in bench.results if row.scenario == "end-to-end"}
    for name in (*names, *BASELINES):
        stages = bench.stages.get(name, {})
        if len(stages) == len(STAGES) and name in pipeline_ms:
            return name, stages, stages_chart(name, stages, pipeline_ms[name])
    return None


def _speed_accuracy(run: BenchRun, numbers: dict[str, int]) -> tuple[str, Markup] | None:
    """The chart and its vertical axis: macro-F1 if classes are known, otherwise agreement with FP32."""
    ms = {row.engine: row.latency_ms.p50 for row in run.bench.results if row.scenario == "single-stream"}
    points: list[SpeedAccuracyPoint] = []
    what = "macro-F1"
    for row in run.bench.accuracy:
        if row.engine not in ms:
            continue
        if row.macro_f1 is not None:
            low, high = macro_f1_interval(_metrics(run, row.engine).confusion, seed=0)
            points.append(SpeedAccuracyPoint(row.engine, ms[row.engine], row.macro_f1, low, high))
        elif row.agreement_with_fp32 is not None:
            what = "agreement with FP32"
            share = row.agreement_with_fp32
            points.append(SpeedAccuracyPoint(row.engine, ms[row.engine], share, share, share))
    return (what, speed_accuracy_chart(points, what, numbers)) if points else None


def _evaluated(run: BenchRun) -> Evaluated | None:
    """The fastest engine with labeled images, otherwise the baseline; None if no class is known."""
    best = fastest(run.bench)
    names = [] if best is None else [best.engine]
    for name in (*names, *BASELINES):
        if any(row.engine == name and row.labeled for row in run.bench.accuracy):
            return Evaluated(name, _metrics(run, name))
    return None


def _metrics(run: BenchRun, engine: str) -> Metrics:
    pairs = zip(run.images.truth, run.predictions[engine].labels, strict=True)
    known = [(truth, label) for truth, label in pairs if truth is not None and label is not None]
    return measure([truth for truth, _ in known], [label for _, label in known])


def _spread(row: ResultRow) -> tuple[float, float]:
    """First and third quartile of the round medians, in ms."""
    low, high = np.percentile(row.round_medians_ms, (25, 75))
    return float(low), float(high)


def _machine(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The machine as pairs of name and value; unknown values are omitted."""
    memory, gpu = facts["memory_gb"], facts["gpu"]
    rows = [
        ("board", facts["board"]),
        ("processor", facts["cpu"]),
        ("usable", _cores(facts["cores"])),
        ("instruction sets", ", ".join(facts["instruction_sets"])),
        *_conditions(facts),
        ("memory", None if memory is None else f"{memory:g} GB"),
        ("GPU", None if gpu is None else f"{gpu['name']}, compute capability {gpu['compute_capability']}"),
        ("operating system", facts["os"]),
        ("Python", facts["python"]),
        ("packages", ", ".join(f"{name} {version}" for name, version in facts["packages"].items())),
    ]
    return [(name, value) for name, value in rows if value]


def _conditions(facts: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Other facts that affect processor speed, from `cpu_conditions`; older files lack some of them."""
    mhz = facts.get("mhz") or {}
    frequency = ", ".join(f"{name} {mhz[name]:g} MHz" for name in ("now", "min", "max") if mhz.get(name))
    turbo, limit = facts.get("turbo"), facts.get("cpu_limit")
    return [
        ("CPU affinity", ", ".join(map(str, facts.get("affinity") or ()))),
        ("threads per core", str(facts.get("threads_per_core") or "")),
        ("frequency", frequency),
        ("turbo", None if turbo is None else "on" if turbo else "off"),
        ("frequency governor", facts["governor"]),
        ("container limit", None if limit is None else f"{limit:g} cores"),
        ("virtual machine", "yes" if facts.get("virtual") else None),
    ]


def _figures(value: float) -> str:
    """A time or a rate, rounded to at most four meaningful digits."""
    return f"{value:.2f}" if value < 100 else f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def _cores(number: int) -> str:
    return f"{number} core" if number == 1 else f"{number} cores"
