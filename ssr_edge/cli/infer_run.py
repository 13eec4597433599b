"""Runs `ssr-edge infer` on this machine: opens the source and the outputs, classifies, and prints a summary."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import typer

from ssr_edge.classifier import Classifier
from ssr_edge.cli.tables import classes_table
from ssr_edge.common.errors import ServerError, UsageError
from ssr_edge.common.interrupt import interruptible
from ssr_edge.common.progress import progress
from ssr_edge.overlay.annotate import annotator
from ssr_edge.overlay.sinks import open_sinks
from ssr_edge.results.groups import Groups
from ssr_edge.results.record import RunRecord
from ssr_edge.results.results import Results
from ssr_edge.slides.report import SlideReports
from ssr_edge.sources.choose import Source, open_source

FAILED_INPUTS = 3


@dataclass(frozen=True)
class LocalRun:
    """The options of `infer` for a run on this machine; see the help of the verb."""

    source: str
    batch: int
    threads: int | None
    every: int
    live: bool | None
    seconds: float | None
    show: bool
    save: str | None
    mpp: float | None
    resume: bool


def infer_here(classify: Classifier, run: LocalRun, results: Results, outputs: list[str]) -> None:
    """Classifies a source into `results` and prints a summary.

    Raises:
        UsageError: the source or an output can't be used. RuntimeUnavailable, BundleError, ServerError: the engine
            can't be loaded, or the server stopped answering. typer.Exit: with code 3, some inputs failed.
    """
    stop = Event()
    slides = SlideReports(classify.magnification, run.mpp, results.first_output)
    source = open_source(run.source, stop, run.every, run.live, slides.tiles_of)
    if run.resume:
        _check_repeatable(source)
    with (
        results,
        classify.load(single=source.live or run.batch == 1) as loaded,
        open_sinks(source, run.source, run.save, run.show, stop) as sinks,
    ):
        _print(_title(loaded))
        record = RunRecord.of(loaded.bundle, loaded.runner)
        if run.resume:
            source = replace(source, inputs=results.resume(record, source.inputs, slides.add))
            _print(f"resuming after {results.counts.total() + results.failed} inputs")
        else:
            results.begin(record)
        before, started = results.counts.total(), time.perf_counter()
        # A live run logs its own statistics.
        shown = nullcontext(_no_progress) if source.live else progress("classifying, image", None)
        with _resume_hint(results, source.repeatable), interruptible(stop, run.seconds), shown as advance:
            for result in loaded.stream(
                source, run.batch, decoders=run.threads, stop=stop, annotate=annotator(sinks), log=_print
            ):
                results.add(result)
                slides.add(result)
                advance(1, f"{(results.counts.total() - before) / (time.perf_counter() - started):.0f}/s")
        took = time.perf_counter() - started
    finish(results, outputs, results.counts.total() - before, took, slides.summaries)


def finish(results: Results, outputs: list[str], done: int, seconds: float, slides: list[str]) -> None:
    """Prints the summary; exits with code 3 if inputs failed."""
    if "-" not in outputs:
        classes_table(results)
    _print(f"{done} images in {seconds:.1f} s, {done / seconds:.1f} images/s -> {', '.join(outputs)}")
    for summary in slides:
        _print(summary)
    for flag, count in sorted(results.flags.items()):
        _print(f"{count} flagged {flag}")
    if results.groups is not None:
        _print_groups(results.groups, results.groups_file)
    if results.failed:
        _print(f"{results.failed} failed, listed in {results.failures_file}:")
        for failure in results.failures:
            _print(f"  {failure.source}: {failure.reason}")
        raise typer.Exit(FAILED_INPUTS)


def _title(classify: Classifier) -> str:
    bundle, runner = classify.bundle, classify.runner
    where = "no bundle, magnification unknown" if bundle is None else str(bundle.path)
    return f"{where}: {runner.name} on {runner.device} ({classify.why}; {runner.origin})"


def _check_repeatable(source: Source) -> None:
    if not source.repeatable:
        raise UsageError(
            f"--resume with {source.shown}: frames of a camera or stream can't be read again",
            expected="a source that can be read again: files",
            next_step=f"ssr-edge infer {source.shown} -o OTHER.csv",
        )


@contextmanager
def _resume_hint(results: Results, repeatable: bool) -> Iterator[None]:
    """After an interruption, prints how many inputs were done and how to continue."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, ServerError):
        done = results.counts.total() + results.failed
        hint = "; run the same command with --resume to continue" if results.can_be_resumed and repeatable else ""
        _print(f"stopped after {done} inputs, all written{hint}")
        raise


def _print_groups(groups: Groups, file: Path) -> None:
    _print(f"{len(groups)} groups -> {file}")
    if groups.ungrouped:
        _print(f"{groups.ungrouped} images belong to no group:")
        for source in groups.ungrouped_sources:
            _print(f"  {source}")


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _no_progress(steps: int, note: str) -> None:
    pass
