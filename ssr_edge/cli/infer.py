"""`ssr-edge infer`: images -> predictions."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ssr_edge.results import Groups, Results

FAILED_INPUTS = 3


def infer(
    source: Annotated[str, typer.Argument(help="Folder, glob in quotes, image, or - for paths on stdin.")],
    bundle: Annotated[Path | None, typer.Option(help="Bundle. (default: newest)", show_default=False)] = None,
    runtime: Annotated[str, typer.Option(help="auto, openvino, tensorrt, tensorrt-rtx, onnxruntime.")] = "auto",
    precision: Annotated[
        str | None, typer.Option(help="(default: the one the bundle chose)", show_default=False)
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--output",
            help=".csv, .jsonl, .parquet or - ; repeatable. (default: predictions.csv)",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run with these outputs stopped.")] = False,
    group_by: Annotated[
        str | None,
        typer.Option(help="A second table by patient (BreaKHis names), or by a regular expression's first group."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images in one engine call.")] = 8,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Decoders. (default: one a core)", show_default=False)
    ] = None,
) -> None:
    """Classify images. Decision support for research, not a medical device."""
    from ssr_edge.bundle import Bundle
    from ssr_edge.cli.signals import ending_cleanly
    from ssr_edge.cli.tables import classes_table
    from ssr_edge.environment import usable_cores
    from ssr_edge.pipeline import classify
    from ssr_edge.progress import progress
    from ssr_edge.results import Results, RunRecord
    from ssr_edge.runners import choose_precision, choose_runtime, open_runner
    from ssr_edge.sources import find_sources

    opened = Bundle.open(bundle) if bundle else Bundle.newest()
    chosen = choose_precision(opened, precision, runtime)
    engine, why = choose_runtime(opened, runtime, chosen)
    paths = find_sources(source)
    outputs = list(dict.fromkeys(output or ["predictions.csv"]))
    with Results(outputs, group_by) as results, open_runner(opened, engine, chosen, slots=2) as runner:
        print(f"{opened.path}: {runner.name} on {runner.device} ({why}; {runner.origin})", file=sys.stderr)
        record = RunRecord.of(opened, runner)
        if resume:
            paths = results.resume(record, paths)
            print(f"going on after {results.counts.total() + results.failed} inputs", file=sys.stderr)
        else:
            results.begin(record)
        before = results.counts.total()
        started = time.perf_counter()
        with ending_cleanly(lambda: _stopped(results)), progress("classifying, image", None) as advance:
            for result in classify(paths, runner, batch, threads or usable_cores(), opened.manifest.magnification):
                results.add(result)
                advance(1, f"{(results.counts.total() - before) / (time.perf_counter() - started):.0f}/s")
        seconds = time.perf_counter() - started
    if "-" not in outputs:
        classes_table(results)
    done = results.counts.total() - before
    print(f"{done} images in {seconds:.1f} s, {done / seconds:.1f} images/s -> {', '.join(outputs)}", file=sys.stderr)
    for flag, count in sorted(results.flags.items()):
        print(f"{count} flagged {flag}", file=sys.stderr)
    if results.groups is not None:
        _tell_groups(results.groups, results.groups_file)
    if results.failed:
        print(f"{results.failed} failed, listed in {results.failures_file}:", file=sys.stderr)
        for failure in results.failures:
            print(f"  {failure.source}: {failure.reason}", file=sys.stderr)
        raise typer.Exit(FAILED_INPUTS)


def _stopped(results: Results) -> str:
    said = f"stopped after {results.counts.total() + results.failed} inputs, all written"
    return f"{said}; the same command with --resume goes on from there" if results.can_be_resumed else said


def _tell_groups(groups: Groups, file: Path) -> None:
    print(f"{len(groups)} groups -> {file}", file=sys.stderr)
    if groups.ungrouped:
        print(f"{groups.ungrouped} images belong to no group:", file=sys.stderr)
        for source in groups.ungrouped_sources:
            print(f"  {source}", file=sys.stderr)
