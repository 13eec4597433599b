"""What `ssr-edge bench` does with its arguments: finds bundle and images, measures, prints, writes bench.json."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ssr_edge.bench.report import as_json, write_json
from ssr_edge.bench.run import BenchOptions, run_bench
from ssr_edge.bench.table import print_report
from ssr_edge.bundle import Bundle
from ssr_edge.cli.defaults import DEMO_IMAGES
from ssr_edge.errors import UsageError
from ssr_edge.sources import find_sources


@dataclass(frozen=True)
class BenchRequest:
    """The verb's arguments as they were given. json: a file, or `-` for stdout."""

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


def bench_and_print(request: BenchRequest) -> None:
    """Runs the benchmark; the tables go to stderr when the JSON takes stdout.

    Raises:
        UsageError: arguments that make no sense together. Otherwise as `run_bench`.
    """
    folder = request.folder or DEMO_IMAGES
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", expected="a folder of images", next_step="ssr-edge bench FOLDER")
    options = BenchOptions(
        folder=folder,
        runtimes=request.runtimes,
        precisions=request.precisions,
        batches=request.batches,
        quick=request.quick,
        latency_only=request.random_weights,
        seed=request.seed,
    )
    with _bundle(request, folder) as bundle:
        report = run_bench(bundle, options)
    if request.json == "-":
        print_report(report, sys.stderr)
        print(json.dumps(as_json(report), indent=1))
        return
    print_report(report, sys.stdout)
    write_json(report, Path(request.json))
    print(f"wrote {request.json}")


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
    from ssr_edge.bench.random_weights import random_bundle

    with random_bundle(request.arch, list(find_sources(str(folder))), request.seed) as bundle:
        yield bundle
