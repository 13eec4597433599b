"""Measures `ssr-edge infer` throughput against its upper bound, and peak memory.

    python benchmarks/infer.py FOLDER --bundle bundles/demo --images 200 10000 --rounds 3

FOLDER: microscope images, repeated if there are too few, so that they are read from the page cache, not from disk.

Upper bound: decoding an image takes one core `decode_s`, in parallel for different images; the engine takes all cores
`engine_s` per image, at the batch size of `infer`. Cores that are never idle finish an image every
`decode_s / cores + engine_s` seconds. Both are measured separately, each in its own process, right before each run. An
engine leaves small gaps on some cores, which decoding may fill, so the result can exceed 100 % of the bound.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.machine.environment import machine_facts, usable_cores
from ssr_edge.runners.choose import choose_precision
from ssr_edge.sources.paths import find_sources

# Number of images for timing the decoder and the engine.
SAMPLE = 200
DECODE = """
import json, os, sys, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from ssr_edge.images.preprocess import load
paths = sys.argv[1:]
for path in paths[:10]:
    load(path)
started = time.perf_counter()
for path in paths:
    load(path)
print(json.dumps((time.perf_counter() - started) / len(paths)))
"""
ENGINE = """
import json, sys, time
from itertools import cycle
from pathlib import Path
import numpy as np
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.images.preprocess import load_first
from ssr_edge.runners.choose import open_runner
bundle, precision, batch, calls, *paths = sys.argv[1:]
images = np.stack(load_first(cycle(paths), int(batch)))
with open_runner(Bundle.open(Path(bundle)), "openvino", precision) as runner:
    for _ in range(5):
        runner.infer(images)
    started = time.perf_counter()
    for _ in range(int(calls)):
        runner.infer(images)
    print(json.dumps((time.perf_counter() - started) / int(calls) / len(images)))
"""
INFER = """
import sys
from ssr_edge.machine.memory import peak_rss_mb
from ssr_edge.cli.main import run
try:
    run()
finally:
    print(f"peak {peak_rss_mb()} MB", file=sys.stderr)
"""


@dataclass(frozen=True)
class Measured:
    """One run of `infer`. decode_s, engine_s: of decoder and engine alone in the same round, seconds per image."""

    images_per_second: float
    peak_rss_mb: float
    decode_s: float
    engine_s: float

    def bound(self, cores: int) -> float:
        """Upper bound in images per second."""
        return 1 / (self.decode_s / cores + self.engine_s)


def measure(bundle: Bundle, precision: str, batch: int, images: list[str], sample: list[str]) -> Measured:
    """Times decoder, engine and `infer` in sequence."""
    decode_s = json.loads(_python(DECODE, *sample).stdout)
    calls = max(1, 200 // batch)
    engine_s = json.loads(_python(ENGINE, str(bundle.path), precision, str(batch), str(calls), *sample).stdout)
    with tempfile.TemporaryDirectory() as folder:
        options = ["--bundle", str(bundle.path), "--runtime", "openvino", "--precision", precision]
        options += ["--batch", str(batch), "-o", str(Path(folder) / "p.csv")]
        run = _python(INFER, "infer", "-", *options, stdin="\n".join(images))
    rate = re.search(rf"^{len(images)} images in .* s, ([\d.]+) images/s", run.stderr, re.MULTILINE)
    peak = re.search(r"^peak ([\d.]+) MB", run.stderr, re.MULTILINE)
    assert rate is not None and peak is not None, run.stderr
    return Measured(float(rate[1]), float(peak[1]), decode_s, engine_s)


def _python(program: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return done


def main() -> None:
    """Prints a Markdown table with one row per number of images: medians over rounds, and the largest peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--bundle", type=Path, help="(default: newest)")
    parser.add_argument("--precision", help="(default: the bundle's choice)")
    parser.add_argument("--images", type=int, nargs="+", default=[200, 10_000])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    bundle = Bundle.open(asked.bundle) if asked.bundle else Bundle.newest()
    precision = choose_precision(bundle, asked.precision, "openvino")
    found = [str(path.resolve()) for path in find_sources(asked.folder)]
    cores = usable_cores()
    print(f"{bundle.path.name}, openvino-{precision}, batch {asked.batch}, {cores} cores of {machine_facts()['cpu']}\n")
    print("| images | decode, ms on one core | engine, ms on all cores | images/s | bound | % of bound | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for count in asked.images:
        images = list(islice(cycle(found), count))
        rounds = [measure(bundle, precision, asked.batch, images, found[:SAMPLE]) for _ in range(asked.rounds)]
        decode_ms, engine_ms = (1000 * median(r.decode_s for r in rounds), 1000 * median(r.engine_s for r in rounds))
        rate, bound = median(r.images_per_second for r in rounds), median(r.bound(cores) for r in rounds)
        share = median(r.images_per_second / r.bound(cores) for r in rounds)
        peak = max(r.peak_rss_mb for r in rounds)
        print(
            f"| {count:,} | {decode_ms:.2f} | {engine_ms:.2f} | {rate:.1f} | {bound:.1f} | {share:.1%} | {peak:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
