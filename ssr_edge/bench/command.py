"""Runs `ssr-edge bench`: checks the options, measures, prints, writes the files and compares."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ssr_edge.bench.options import BenchOptions
from ssr_edge.bench.report.build import BenchRun
from ssr_edge.bench.report.compare import compare
from ssr_edge.bench.report.comparison_table import print_comparison
from ssr_edge.bench.report.layers_table import print_layers
from ssr_edge.bench.report.schema import BenchFile, read_bench
from ssr_edge.bench.report.tables import print_report
from ssr_edge.bench.report.write import as_text, write_json
from ssr_edge.bench.run import run_bench
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import Regression, UsageError
from ssr_edge.sources.paths import find_sources


def bench_and_print(options: BenchOptions) -> None:
    """Runs the benchmark. Tables go to stderr if the JSON goes to stdout.

    Raises:
        UsageError: contradictory options, or an unreadable earlier run. Otherwise as `run_bench`.
        Regression: worse than the earlier run by more than the limit; all files are written first.
    """
    # Checked before minutes are spent, and before the new run can replace the old file.
    limit = _limit(options)
    old = None if options.compare is None else _old_run(options.compare, options.json)
    if not options.folder.is_dir():
        raise UsageError(
            f"{options.folder} is not a folder", expected="a folder of images", next_step="ssr-edge bench FOLDER"
        )
    if options.quick and options.mlperf:
        raise UsageError(
            "--quick together with --mlperf",
            expected="only one of them: --quick takes seconds per row, --mlperf 600 s",
            next_step="ssr-edge bench --mlperf --precision int8",
        )
    with _bundle(options) as bundle:
        run = run_bench(bundle, options)
    out = sys.stderr if options.json == "-" else sys.stdout
    print_report(run.bench, out)
    if options.layers:
        for engine, profile in run.bench.layers.items():
            print_layers(engine, profile, run.bench.rooflines.get(engine), out)
    _write(run, options, out)
    if old is not None:
        _compare(old, run.bench, limit, options, out)


def _write(run: BenchRun, options: BenchOptions, out: TextIO) -> None:
    if options.json == "-":
        print(as_text(run.bench))
    else:
        write_json(run.bench, Path(options.json))
        print(f"wrote {options.json}", file=out)
    if options.html is not None:
        # Imported here because only the page needs a template engine.
        from ssr_edge.bench.report.html import write_html

        write_html(run, options.html)
        print(f"wrote {options.html}", file=out)


def _compare(old: BenchFile, new: BenchFile, limit: float | None, options: BenchOptions, out: TextIO) -> None:
    comparison = compare(old, new)
    print_comparison(comparison, str(options.compare), out)
    regressions = [] if limit is None else comparison.regressions(limit)
    if regressions:
        raise Regression(
            f"worse than {options.compare}: " + "; ".join(regressions),
            expected=f"no figure worse by more than {options.max_regression}",
            next_step="the same command again on an idle machine, to see whether the regression persists",
        )


def _limit(options: BenchOptions) -> float | None:
    """The largest tolerated regression as a fraction; None for no limit."""
    if options.max_regression is None:
        return None
    if options.compare is None:
        raise UsageError(
            "--max-regression without --compare",
            expected="--compare with an earlier bench.json",
            next_step=f"ssr-edge bench --compare old.json --max-regression {options.max_regression}",
        )
    percent = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", options.max_regression.strip(), re.ASCII)
    if percent is None:
        raise UsageError(
            f"--max-regression {options.max_regression!r} is not a percentage",
            expected="a number with a percent sign, e.g. 5%",
            next_step=f"ssr-edge bench --compare {options.compare} --max-regression 5%",
        )
    return float(percent[1]) / 100


def _old_run(path: Path, json_file: str) -> BenchFile:
    old = read_bench(path)
    if json_file != "-" and Path(json_file).exists() and path.samefile(json_file):
        raise UsageError(
            f"--compare and --json both name {path}: the new run would overwrite the old one",
            expected="a different file for the new run",
            next_step=f"ssr-edge bench --compare {path} --json {path.with_name('new-' + path.name)}",
        )
    return old


@contextmanager
def _bundle(options: BenchOptions) -> Iterator[Bundle]:
    if (options.arch is not None) != options.random_weights or (options.arch and options.bundle):
        raise UsageError(
            "--arch and --random-weights must be used together, and without --bundle",
            expected="--arch NAME --random-weights to measure an architecture, or --bundle DIR to measure a bundle",
            next_step="ssr-edge bench --arch ssresnext50_32x4d --random-weights",
        )
    if options.arch is None:
        yield Bundle.open(options.bundle) if options.bundle else Bundle.newest()
        return
    from ssr_export.random_bundle import random_bundle

    with random_bundle(options.arch, list(find_sources(str(options.folder))), options.seed) as bundle:
        yield bundle
