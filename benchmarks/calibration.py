"""Measures time and peak memory of INT8 calibration, with random weights (they do not affect either).

    python benchmarks/calibration.py FOLDER --arch ssresnext50_32x4d --images 64

FOLDER: microscope images, repeated if there are fewer than --images. Calibration runs in a separate process, so that
peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from itertools import cycle, islice

from ssr_edge.sources.paths import find_sources
from ssr_export.random_bundle import random_bundle

PROGRAM = """
import json, sys, time
from pathlib import Path
from ssr_edge.machine.memory import peak_rss_mb
from ssr_export.int8.calibrate import calibrate
model, method, *images = sys.argv[1:]
started = time.perf_counter()
found = calibrate(Path(model), [Path(image) for image in images], method, correct_bias=True)
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "peak_rss_mb": peak_rss_mb(), "tensors": len(found.ranges)}))
"""


def main() -> None:
    """Prints one line with the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--arch", default="ssresnext50_32x4d")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--method", default="mse")
    asked = parser.parse_args()
    found = list(find_sources(asked.folder))
    with random_bundle(asked.arch, found, seed=0) as bundle:
        model = bundle.file("model.fp32.onnx")
        images = [str(path.resolve()) for path in islice(cycle(found), asked.images)]
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(model), asked.method, *images], stdout=subprocess.PIPE, check=True
        )
    result = json.loads(run.stdout)
    print(
        f"{asked.arch}: {asked.images} images, {result['tensors']} activations, {asked.method}: "
        f"{result['seconds']:.1f} s, {result['peak_rss_mb']:.0f} MB peak memory"
    )


if __name__ == "__main__":
    main()
