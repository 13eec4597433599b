"""What Ray costs `ssr-edge infer` on one machine: before the first part, and per image from then on.

    python benchmarks/ray_overhead.py FOLDER --bundle bundles/demo --images 4000 --part-size 250 --rounds 3

FOLDER: microscope images, repeated where there are fewer, so that they come from the page cache and not from a disk.

Each round runs the command in its own process: locally, then with `--ray local` as one actor per core, and as one actor
of all cores. Start: from the command to its first result; with Ray to as many parts as there are actors, so that
all are at work. Rate: of the images behind that, up to the last one's arrival. Rest: from there to the command's end,
with Ray the making of the one table.

Behind that: what the one process that hands out parts can do, each alone. Parts: of one missing file each, so that
nothing but Ray's own work is left. Lists: cutting and packing paths. Table: reading parts and writing CSV.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.cli.infer import FAILED_INPUTS
from ssr_edge.distributed.part_file import PartRecord, read_results, to_parquet
from ssr_edge.distributed.parts import Part, cut, pack_inputs
from ssr_edge.inference.prediction import decide
from ssr_edge.machine.environment import machine_facts, usable_cores
from ssr_edge.results.results import Results
from ssr_edge.sources.inputs import still
from ssr_edge.sources.paths import find_sources

COMMAND = "import sys; from ssr_edge.cli.main import run; run()"
_LOOK_EVERY_S = 0.02
PARTS = 400
PATHS = 100_000


@dataclass(frozen=True)
class Timed:
    """One run. start_s, rest_s: seconds. rate: images a second between the two. whole_s: of the command."""

    start_s: float
    rate: float
    rest_s: float
    whole_s: float


def timed(images: list[str], options: list[str], done: Callable[[Path], int], begun: int = 1) -> Timed:
    """Runs `infer` on paths. done: images finished, seen from its output's path; the rate is timed from `begun` on."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "p.csv"
        command = [sys.executable, "-c", COMMAND, "infer", "-", "-o", str(output), *options]
        with (Path(folder) / "log").open("w+") as log, (Path(folder) / "paths").open("w+") as paths:
            paths.write("\n".join(images))
            paths.seek(0)
            started = time.perf_counter()
            process = subprocess.Popen(command, stdin=paths, stdout=log, stderr=log)
            arrivals = [(0.0, 0)]
            while process.poll() is None:
                count, now = done(output), time.perf_counter() - started
                if count > arrivals[-1][1]:
                    arrivals.append((now, count))
                time.sleep(_LOOK_EVERY_S)
            whole = time.perf_counter() - started
            log.seek(0)
            if process.returncode not in (0, FAILED_INPUTS):
                sys.exit(log.read())
    first_s, first = next(arrival for arrival in arrivals if arrival[1] >= begun)
    last_s, last = arrivals[-1]
    return Timed(first_s, (last - first) / (last_s - first_s), whole - last_s, whole)


def lines(output: Path) -> int:
    """Images that a local run has written."""
    return max(0, output.read_bytes().count(b"\n") - 1) if output.exists() else 0


def parts(size: int, total: int) -> Callable[[Path], int]:
    """Images in the parts that are finished."""
    return lambda output: min(total, size * len(list(output.with_suffix(".parts").glob("part-*.parquet"))))


def print_driver(bundle: Bundle) -> None:
    """Prints what the process that hands out parts can do in a second."""
    missing = [f"/missing/{number}.png" for number in range(PARTS)]
    options = ["--bundle", str(bundle.path), "--ray", "local", "--part-size", "1"]
    by_part = timed(missing, options, parts(1, PARTS)).rate
    inputs = [still(Path(f"/archive/slide{number // 5000:05d}/tile{number:09d}.jpg")) for number in range(PATHS)]
    started = time.perf_counter()
    packed = sum(len(pack_inputs(part)) for part in cut(inputs, 1000))
    listed = PATHS / (time.perf_counter() - started)
    random = np.random.default_rng(0)
    some = [
        decide(f"/archive/tile{number:09d}.jpg", (460, 700), random.dirichlet(np.ones(8)).astype(np.float32), None, 9.5)
        for number in range(1000)
    ]
    record = PartRecord(bundle="", engine="", version="", device="", inputs=Part(0, ()).digest)
    data = to_parquet(some, record)
    with tempfile.TemporaryDirectory() as folder:
        (part := Path(folder) / "part.parquet").write_bytes(data)
        results = Results([str(Path(folder) / "p.csv")])
        with results:
            results.begin(record)
            started = time.perf_counter()
            for _ in range(10):
                for result in read_results(part):
                    results.add(result)
            merged = 10 * len(some) / (time.perf_counter() - started)
        row = (Path(folder) / "p.csv").stat().st_size / (10 * len(some))
    print(
        f"\nparts handed out: {by_part:.0f}/s; paths listed and packed: {listed:.0f}/s, {packed / PATHS:.1f} bytes each"
    )
    print(
        f"rows made into one CSV: {merged:.0f}/s; bytes a row: {len(data) / len(some):.0f} in a part, {row:.0f} in CSV"
    )


def main() -> None:
    """Prints a Markdown table, a row a way to run: the median of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--bundle", type=Path, help="(default: newest)")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--part-size", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    bundle = Bundle.open(asked.bundle) if asked.bundle else Bundle.newest()
    images = list(islice(cycle(str(path.resolve()) for path in find_sources(asked.folder)), asked.images))
    cores, by_part = usable_cores(), parts(asked.part_size, asked.images)
    ray = ["--ray", "local", "--part-size", str(asked.part_size)]
    ways: dict[str, tuple[list[str], Callable[[Path], int], int]] = {
        "local": ([], lines, 1),
        f"Ray, {cores} actors of 1 core": (ray, by_part, cores * asked.part_size),
        f"Ray, 1 actor of {cores} cores": ([*ray, "--num-cpus", str(cores)], by_part, asked.part_size),
    }
    found: dict[str, list[Timed]] = {way: [] for way in ways}
    for _ in range(asked.rounds):
        for way, (options, done, begun) in ways.items():
            found[way].append(timed(images, ["--bundle", str(bundle.path), *options], done, begun))
    print(f"{bundle.path.name}, {asked.images:,} images, {cores} cores of {machine_facts()['cpu']}\n")
    print("| | start, s | images/s behind it | rest, s | whole, s |")
    print("|---|---|---|---|---|")
    for way, runs in found.items():
        start, rate, rest, whole = (
            median(getattr(run, name) for run in runs) for name in ("start_s", "rate", "rest_s", "whole_s")
        )
        print(f"| {way} | {start:.1f} | {rate:.1f} | {rest:.1f} | {whole:.1f} |", flush=True)
    print_driver(bundle)


if __name__ == "__main__":
    main()
