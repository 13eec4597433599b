"""What `ssr-edge bench` does with its arguments: finds bundle and images, measures, prints, writes, compares."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ssr_edge.bench.options import BenchOptions
from ssr_edge.bench.report.compare import compare
from ssr_edge.bench.report.comparison_table import print_comparison
from ssr_edge.bench.report.layers_table import print_layers
from ssr_edge.bench.report.report import Report, as_bench_file, as_text, write_json
from ssr_edge.bench.report.schema import BenchFile, read_bench
from ssr_edge.bench.report.tables import print_report
from ssr_edge.bench.run import run_bench
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import Regression, UsageError
from ssr_edge.demo import DEMO_IMAGES
from ssr_edge.sources.paths import find_sources


@dataclass(frozen=True)
class BenchRequest:
    """The verb's arguments as they were given. json: a file, or `-` for stdout. batches: empty for the best.

    compare: an older bench.json. max_regression: a percentage, e.g. `5%`.
    """

    folder: Path | None
    bundle: Path | None
    arch: str | None
    random_weights: bool
    runtimes: tuple[str, ...]
    precisions: tuple[str, ...]
    batches: tuple[int, ...]
    quick: bool
    json: str
    seed: int
    mlperf: bool = False
    fps: float = 30.0
    peer: str | None = None
    layers: bool = False
    server: str | None = None
    html: Path | None = None
    compare: Path | None = None
    max_regression: str | None = None


def bench_and_print(request: BenchRequest) -> None:
    """Runs the benchmark; the tables go to stderr when the JSON takes stdout.

    Raises:
        UsageError: arguments that make no sense together, or an older run that can't be read. Otherwise as `run_bench`.
        Regression: worse than the older run by more than the limit; everything is written then.
    """
    # Before minutes are spent, and before the new run may take the old one's place.
    limit = _limit(request)
    old = None if request.compare is None else _old_run(request.compare, request.json)
    folder = request.folder or DEMO_IMAGES
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", expected="a folder of images", next_step="ssr-edge bench FOLDER")
    if request.quick and request.mlperf:
        raise UsageError(
            "--quick together with --mlperf",
            expected="one of them: seconds a row, or 600 of them",
            next_step="ssr-edge bench --mlperf --precision int8",
        )
    options = BenchOptions(
        folder=folder,
        runtimes=request.runtimes,
        precisions=request.precisions,
        batches=request.batches,
        quick=request.quick,
        mlperf=request.mlperf,
        fps=request.fps,
        peer=request.peer,
        layers=request.layers,
        latency_only=request.random_weights,
        server=request.server,
        seed=request.seed,
    )
    with _bundle(request, folder) as bundle:
        report = run_bench(bundle, options)
    out = sys.stderr if request.json == "-" else sys.stdout
    print_report(report, out)
    if request.layers:
        for engine, profile in report.profiles.items():
            print_layers(engine, profile, report.rooflines.get(engine), out)
    _write(report, request, out)
    if old is not None:
        _compare(old, report, limit, request, out)


def _write(report: Report, request: BenchRequest, out: TextIO) -> None:
    if request.json == "-":
        print(as_text(report))
    else:
        write_json(report, Path(request.json))
        print(f"wrote {request.json}", file=out)
    if request.html is not None:
        # Only here: a template engine is nothing that measuring needs.
        from ssr_edge.bench.report.html import write_html

        write_html(report, request.html)
        print(f"wrote {request.html}", file=out)


def _compare(old: BenchFile, report: Report, limit: float | None, request: BenchRequest, out: TextIO) -> None:
    comparison = compare(old, as_bench_file(report))
    print_comparison(comparison, str(request.compare), out)
    regressions = [] if limit is None else comparison.regressions(limit)
    if regressions:
        raise Regression(
            f"worse than {request.compare}: " + "; ".join(regressions),
            expected=f"nothing worse by more than {request.max_regression}",
            next_step="the same command once more, on a quiet machine, to see whether it stays so",
        )


def _limit(request: BenchRequest) -> float | None:
    """The largest regression that is let pass, as a share; None where any is."""
    if request.max_regression is None:
        return None
    if request.compare is None:
        raise UsageError(
            "--max-regression without --compare",
            expected="--compare with an older bench.json",
            next_step=f"ssr-edge bench --compare old.json --max-regression {request.max_regression}",
        )
    percent = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", request.max_regression.strip(), re.ASCII)
    if percent is None:
        raise UsageError(
            f"--max-regression {request.max_regression!r} is no percentage",
            expected="a number with a percent sign, e.g. 5%",
            next_step=f"ssr-edge bench --compare {request.compare} --max-regression 5%",
        )
    return float(percent[1]) / 100


def _old_run(path: Path, json_file: str) -> BenchFile:
    old = read_bench(path)
    if json_file != "-" and Path(json_file).exists() and path.samefile(json_file):
        raise UsageError(
            f"--compare and --json both name {path}: this run would take the old one's place",
            expected="another file for this run",
            next_step=f"ssr-edge bench --compare {path} --json {path.with_name('new-' + path.name)}",
        )
    return old


@contextmanager
def _bundle(request: BenchRequest, folder: Path) -> Iterator[Bundle]:
    if (request.arch is not None) != request.random_weights or (request.arch and request.bundle):
        raise UsageError(
            "--arch and --random-weights go together, and without --bundle",
            expected="--arch NAME --random-weights to measure an architecture, or --bundle DIR to measure a bundle",
            next_step="ssr-edge bench --arch ssresnext50_32x4d --random-weights",
        )
    if request.arch is None:
        yield Bundle.open(request.bundle) if request.bundle else Bundle.newest()
        return
    from ssr_export.random_bundle import random_bundle

    with random_bundle(request.arch, list(find_sources(str(folder))), request.seed) as bundle:
        yield bundle
