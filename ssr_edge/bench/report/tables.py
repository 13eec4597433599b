"""Prints a report: the table, the accuracies, and the sentence that people quote."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, TextIO

from ssr_edge.bench.measure.on_gpu import OnGpu
from ssr_edge.bench.measure.stages import STAGES
from ssr_edge.bench.report.gpu_messages import describe_gpu
from ssr_edge.bench.report.layers_table import in_a_sentence
from ssr_edge.bench.report.report import METHOD, Report, Speedup, scenario_name
from ssr_edge.bench.report.summary import describe_noise, summary

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# rich would fold the table to 80 columns in a file or a pipe.
_PLAIN_WIDTH = 140
_TIMES = "\N{MULTIPLICATION SIGN}"


def print_report(report: Report, file: TextIO) -> None:
    """Writes the report to a terminal or a file."""
    from rich.console import Console

    console = Console(file=file, width=None if file.isatty() else _PLAIN_WIDTH, highlight=False)
    console.print(_speed_table(report))
    if report.live:
        console.print(_live_table(report))
    if report.stages:
        console.print(_stages_table(report))
    if report.peers:
        console.print(_vendor_tools_table(report))
    if report.accuracy:
        console.print(_accuracy_table(report))
    if report.energy:
        console.print(_energy_table(report))
    for reason in [] if report.energy else report.no_meters:
        console.print(f"No energy: {reason}", markup=False, soft_wrap=True)
    if report.on_gpu is not None:
        _print_on_gpu(report.on_gpu, console)
    for name, reason in report.failures.items():
        console.print(f"{name} failed: {reason}", markup=False, soft_wrap=True)
    for name, reason in report.not_run.items():
        console.print(f"{name} not run here: {reason}", markup=False, soft_wrap=True)
    for note in report.notes:
        console.print(f"Note: {note}", markup=False, soft_wrap=True)
    for warning in describe_noise(report):
        console.print(warning, markup=False, soft_wrap=True)
    for engine, found in report.rooflines.items():
        console.print(in_a_sentence(engine, found), markup=False, soft_wrap=True)
    console.print(METHOD, markup=False, soft_wrap=True)
    console.print(summary(report), markup=False, soft_wrap=True, style="bold")


def _speed_table(report: Report) -> Table:
    from rich.table import Table

    over = report.speedups[0].over if report.speedups else "baseline"
    table = Table(title=f"{report.rounds} rounds; times in ms, of a call, a query of 8 images or, end-to-end, an image")
    table.add_column("engine", no_wrap=True)
    table.add_column("scenario", no_wrap=True)
    for heading in ("batch", "p50", "p90", "p95", "p99", "max", "images/s", f"{_TIMES} over {over}", "peak MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    speedups = {row.task: row for row in report.speedups}
    previous = None
    for row in report.results:
        if previous not in (None, row.task.engine):
            table.add_section()
        previous = row.task.engine
        table.add_row(
            row.task.engine,
            row.task.scenario,
            str(row.task.batch),
            *(f"{ms:.2f}" for ms in astuple(row.latency)),
            f"{row.images_per_second:.1f}",
            _ratio(speedups.get(row.task)),
            "-" if row.peak_rss_mb is None else f"{row.peak_rss_mb:.0f}",
        )
    return table


def _ratio(row: Speedup | None) -> str:
    # The bracket is escaped: rich would take it for markup.
    return "" if row is None else f"{row.ratio.ratio:.2f} \\[{row.ratio.low:.2f}, {row.ratio.high:.2f}]"


def _live_table(report: Report) -> Table:
    from rich.table import Table

    table = Table(title=f"live, {report.live[0].fps:g} frames a second: from a frame to its label")
    table.add_column("engine")
    for heading in ("frames", "dropped", "p50 ms", "p90 ms", "p95 ms", "p99 ms", "max ms"):
        table.add_column(heading, justify="right")
    for row in report.live:
        latency = ["-"] * 5 if row.latency_ms is None else [f"{ms:.2f}" for ms in astuple(row.latency_ms)]
        table.add_row(row.engine, str(row.frames), f"{row.dropped} ({row.dropped / row.frames:.0%})", *latency)
    return table


def _stages_table(report: Report) -> Table:
    from rich.table import Table

    table = Table(title="end-to-end, each stage alone in one thread: ms an image")
    table.add_column("engine")
    for stage in STAGES:
        table.add_column(stage, justify="right")
    for engine, stages in report.stages.items():
        table.add_row(engine, *(f"{stages[stage]:.2f}" if stage in stages else "-" for stage in STAGES))
    return table


def _vendor_tools_table(report: Report) -> Table:
    from rich.table import Table

    table = Table(title="single-stream beside the vendor's own tool, on the same file")
    table.add_column("engine")
    table.add_column("tool")
    for heading in ("ours ms", "tool's ms", "ours / tool's"):
        table.add_column(heading, justify="right")
    for row in report.peers:
        ratio = f"{row.ratio.ratio:.3f} \\[{row.ratio.low:.3f}, {row.ratio.high:.3f}]"
        table.add_row(row.engine, f"{row.tool} {row.version}", f"{row.ours_ms:.2f}", f"{row.vendor_ms:.2f}", ratio)
    return table


def _energy_table(report: Report) -> Table:
    from rich.table import Table

    table = Table(title="millijoules an image, idle draw included")
    for heading in ("engine", "scenario"):
        table.add_column(heading)
    for meter in report.meters:
        table.add_column(meter, justify="right")
    for task, joules in report.energy.items():
        found = (joules.get(meter) for meter in report.meters)
        cells = ("-" if joule is None else f"{1000 * joule:.2f}" for joule in found)
        table.add_row(task.engine, scenario_name(task), *cells)
    return table


def _accuracy_table(report: Report) -> Table:
    from rich.table import Table

    table = Table(title="on the folder's images")
    table.add_column("engine")
    for heading in ("images", "labeled", "macro-F1", "accuracy", "agrees with FP32"):
        table.add_column(heading, justify="right")
    for row in report.accuracy:
        shares = (row.macro_f1, row.accuracy, row.agreement_with_fp32)
        table.add_row(
            row.engine,
            str(row.images),
            str(row.labeled),
            *("-" if share is None else f"{share:.4f}" for share in shares),
        )
    return table


def _print_on_gpu(found: OnGpu, console: Console) -> None:
    if found.phases:
        console.print(_phases_table(found))
    for name, reason in found.reasons.items():
        console.print(f"{name}: its phases were not timed: {reason}", markup=False, soft_wrap=True)
    for name, held in found.device_mb.items():
        console.print(f"{name} holds {held:.0f} MB on the GPU", markup=False, soft_wrap=True)
    for when, state in (("before", found.before), ("after", found.after)):
        if state is not None:
            console.print(f"GPU under load {when} the rounds: {describe_gpu(state)}", markup=False, soft_wrap=True)


def _phases_table(found: OnGpu) -> Table:
    from rich.table import Table

    table = Table(title="GPU: ms a call")
    table.add_column("engine")
    for heading in ("batch", "copy to it", "compute", "copy back", "enqueue (host)"):
        table.add_column(heading, justify="right")
    for engine, rows in found.phases.items():
        for row in rows:
            table.add_row(engine, str(row.batch), *(f"{ms:.3f}" for ms in astuple(row.phases)))
    return table
