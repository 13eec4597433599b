"""`ssr-edge infer`: images -> predictions."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

FAILED_INPUTS = 3
_LISTED = 10


def infer(
    source: Annotated[str, typer.Argument(help="Folder, glob in quotes, image, slide, or - for paths on stdin.")],
    bundle: Annotated[Path | None, typer.Option(help="Bundle. (default: newest)", show_default=False)] = None,
    runtime: Annotated[str, typer.Option(help="auto, openvino, tensorrt, tensorrt-rtx, onnxruntime.")] = "auto",
    precision: Annotated[
        str | None, typer.Option(help="(default: the one the bundle chose)", show_default=False)
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "-o", "--output", help=".csv, .jsonl or - ; repeatable. (default: predictions.csv)", show_default=False
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images in one engine call.")] = 8,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Decoders. (default: one a core)", show_default=False)
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=20, help="Slides: micrometres a pixel. (default: what each slide says)", show_default=False
        ),
    ] = None,
) -> None:
    """Classify images and whole slides. Decision support for research, not a medical device."""
    from ssr_edge.bundle import Bundle
    from ssr_edge.cli.tables import classes_table
    from ssr_edge.environment import usable_cores
    from ssr_edge.pipeline import classify
    from ssr_edge.progress import progress
    from ssr_edge.results import Results
    from ssr_edge.runners import choose_precision, choose_runtime, open_runner
    from ssr_edge.slides.report import SlideReports
    from ssr_edge.sources import find_sources

    opened = Bundle.open(bundle) if bundle else Bundle.newest()
    chosen = choose_precision(opened, precision, runtime)
    engine, why = choose_runtime(opened, runtime, chosen)
    paths = find_sources(source)
    outputs = list(dict.fromkeys(output or ["predictions.csv"]))
    magnification = opened.manifest.magnification
    with open_runner(opened, engine, chosen, slots=2) as runner, Results(outputs) as results:
        print(f"{opened.path}: {runner.name} on {runner.device} ({why}; {runner.origin})", file=sys.stderr)
        slides = SlideReports(magnification, mpp, results.first_output)
        started = time.perf_counter()
        with progress("classifying, image", None) as advance:
            for result in classify(slides.inputs(paths), runner, batch, threads or usable_cores(), magnification):
                results.add(result)
                slides.add(result)
                advance(1, f"{results.counts.total() / (time.perf_counter() - started):.0f}/s")
        seconds = time.perf_counter() - started
    if "-" not in outputs:
        classes_table(results)
    done = results.counts.total()
    print(f"{done} images in {seconds:.1f} s, {done / seconds:.1f} images/s -> {', '.join(outputs)}", file=sys.stderr)
    for summary in slides.summaries:
        print(summary, file=sys.stderr)
    for flag, count in sorted(results.flags.items()):
        print(f"{count} flagged {flag}", file=sys.stderr)
    if results.failures:
        print(f"{len(results.failures)} failed, listed in {results.failures_file}:", file=sys.stderr)
        for failure in results.failures[:_LISTED]:
            print(f"  {failure.source}: {failure.reason}", file=sys.stderr)
        raise typer.Exit(FAILED_INPUTS)
