"""Prints a benchmark report: its tables, notes and summary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from typing import TYPE_CHECKING, TextIO

from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.measure.stages import STAGES
from ssr_edge.bench.report.schema import BenchFile, EnergyRow, OnGpuFacts, SpeedupRow
from ssr_edge.bench.report.summary import describe_gpu, describe_noise, describe_roofline, summary
from ssr_edge.common.console import open_console
from ssr_edge.common.text import TIMES

if TYPE_CHECKING:
    from rich.table import Table


def print_report(bench: BenchFile, file: TextIO) -> None:
    """Writes the report to a terminal or a file."""
    console = open_console(file)
    for table in _tables(bench):
        console.print(table)
    for line in _lines(bench):
        console.print(line, markup=False, soft_wrap=True)
    console.print(summary(bench), markup=False, soft_wrap=True, style="bold")


def _tables(bench: BenchFile) -> Iterable[Table]:
    yield _speed_table(bench)
    if bench.live:
        yield _live_table(bench)
    if bench.stages:
        yield _stages_table(bench)
    if bench.vendor_tools:
        yield _vendor_tools_table(bench)
    if bench.accuracy:
        yield _accuracy_table(bench)
    if bench.energy:
        yield _energy_table(bench)
    if bench.on_gpu is not None and any(found.phases for found in bench.on_gpu.engines.values()):
        yield _phases_table(bench.on_gpu)


def _lines(bench: BenchFile) -> Iterable[str]:
    if not bench.energy:
        yield from (f"Energy not measured: {reason}" for reason in bench.no_meters)
    if bench.on_gpu is not None:
        yield from _gpu_lines(bench.on_gpu)
    yield from (f"{row.engine} failed: {row.reason}" for row in bench.failures)
    yield from (f"{row.engine} not run: {row.reason}" for row in bench.not_run)
    yield from (f"Note: {note}" for note in bench.notes)
    yield from describe_noise(bench)
    yield from (describe_roofline(engine, found) for engine, found in bench.rooflines.items())
    yield bench.method


def _gpu_lines(found: OnGpuFacts) -> Iterable[str]:
    for name, engine in found.engines.items():
        if engine.reason is not None:
            yield f"{name}: GPU phases not timed: {engine.reason}"
        if engine.device_mb is not None:
            yield f"{name} uses {engine.device_mb:.0f} MB of GPU memory"
    for when, state in (("before", found.before), ("after", found.after)):
        if state is not None:
            yield f"GPU under load {when} the rounds: {describe_gpu(state)}"


def _table(title: str, *left: str, right: Iterable[str]) -> Table:
    from rich.table import Table

    table = Table(title=title)
    for heading in left:
        table.add_column(heading)
    for heading in right:
        table.add_column(heading, justify="right")
    return table


def _speed_table(bench: BenchFile) -> Table:
    over = bench.speedup[0].over if bench.speedup else "baseline"
    title = f"{bench.rounds} rounds; times in ms per call, per query of 8 images or, for end-to-end, per image"
    columns = ("batch", "p50", "p90", "p95", "p99", "max", "images/s", f"{TIMES} over {over}", "peak MB")
    table = _table(title, "engine", "scenario", right=columns)
    for column in table.columns:
        column.no_wrap = True
    speedups = {row.task: row for row in bench.speedup}
    previous = None
    for row in bench.results:
        if previous not in (None, row.engine):
            table.add_section()
        previous = row.engine
        table.add_row(
            row.engine,
            row.scenario,
            str(row.batch),
            *(f"{ms:.2f}" for ms in astuple(row.latency_ms)),
            f"{row.images_per_second:.1f}",
            _speedup(speedups.get(row.task)),
            "-" if row.peak_rss_mb is None else f"{row.peak_rss_mb:.0f}",
        )
    return table


def _speedup(row: SpeedupRow | None) -> str:
    # The bracket is escaped because rich would read it as markup.
    return "" if row is None else f"{row.ratio:.2f} \\[{row.ci95[0]:.2f}, {row.ci95[1]:.2f}]"


def _live_table(bench: BenchFile) -> Table:
    columns = ("frames", "dropped", "p50 ms", "p90 ms", "p95 ms", "p99 ms", "max ms")
    table = _table(f"live, {bench.live[0].fps:g} frames/s: from a frame to its label", "engine", right=columns)
    for row in bench.live:
        latency = ["-"] * 5 if row.latency_ms is None else [f"{ms:.2f}" for ms in astuple(row.latency_ms)]
        table.add_row(row.engine, str(row.frames), f"{row.dropped} ({row.dropped / row.frames:.0%})", *latency)
    return table


def _stages_table(bench: BenchFile) -> Table:
    table = _table("end-to-end, each stage alone in one thread: ms per image", "engine", right=STAGES)
    for engine, stages in bench.stages.items():
        table.add_row(engine, *(f"{stages[stage]:.2f}" if stage in stages else "-" for stage in STAGES))
    return table


def _vendor_tools_table(bench: BenchFile) -> Table:
    title = "single-stream, compared with the vendor's benchmark tool on the same file"
    table = _table(title, "engine", "tool", right=("ours ms", "tool ms", "ours / tool"))
    for row in bench.vendor_tools:
        ratio = f"{row.ratio:.3f} \\[{row.ci95[0]:.3f}, {row.ci95[1]:.3f}]"
        table.add_row(row.engine, f"{row.tool} {row.version}", f"{row.ours_ms:.2f}", f"{row.vendor_ms:.2f}", ratio)
    return table


def joules_by_task(rows: Iterable[EnergyRow]) -> dict[Task, dict[str, float]]:
    """Joules per image by task and meter."""
    found: dict[Task, dict[str, float]] = {}
    for row in rows:
        found.setdefault(row.task, {})[row.meter] = row.joules_per_image
    return found


def _energy_table(bench: BenchFile) -> Table:
    table = _table("millijoules per image, including idle power", "engine", "scenario", right=bench.meters)
    for task, joules in joules_by_task(bench.energy).items():
        cells = (f"{1000 * joules[meter]:.2f}" if meter in joules else "-" for meter in bench.meters)
        table.add_row(task.engine, task.label, *cells)
    return table


def _accuracy_table(bench: BenchFile) -> Table:
    columns = ("images", "labeled", "macro-F1", "accuracy", "agrees with FP32")
    table = _table("accuracy on the folder's images", "engine", right=columns)
    for row in bench.accuracy:
        shares = (row.macro_f1, row.accuracy, row.agreement_with_fp32)
        cells = ("-" if share is None else f"{share:.4f}" for share in shares)
        table.add_row(row.engine, str(row.images), str(row.labeled), *cells)
    return table


def _phases_table(found: OnGpuFacts) -> Table:
    columns = ("batch", "copy in", "compute", "copy out", "enqueue (host)")
    table = _table("GPU phases: ms per call", "engine", right=columns)
    for name, engine in found.engines.items():
        for row in engine.phases:
            table.add_row(name, str(row.batch), *(f"{ms:.3f}" for ms in astuple(row.phases)))
    return table
