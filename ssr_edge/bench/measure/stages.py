"""Times each stage of end-to-end inference alone, in one thread."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from ssr_edge.common.errors import InputError
from ssr_edge.images.preprocess import Image, decode, resize
from ssr_edge.inference.prediction import decide
from ssr_edge.runners.base import Runner

STAGES = ("decode", "resize", "engine", "decide")


def time_stages(runner: Runner, paths: Sequence[str], batch: int) -> dict[str, float]:
    """Median ms per image of each stage, over the readable files; empty if none is readable.

    `infer` runs decode and resize in threads in parallel with the engine, so end-to-end takes less than the sum.
    """
    times: dict[str, list[float]] = {stage: [] for stage in STAGES}
    images: list[Image] = []  # uint8 BGR [224, 224, 3]
    for path in paths:
        started = time.perf_counter()
        try:
            whole = decode(path)
        except InputError:
            continue
        decoded = time.perf_counter()
        images.append(resize(whole))
        resized = time.perf_counter()
        times["decode"].append(decoded - started)
        times["resize"].append(resized - decoded)
    for start in range(0, len(images), batch):
        stacked = np.stack(images[start : start + batch])
        if start == 0:
            runner.infer(stacked)  # warms the caches
        started = time.perf_counter()
        outputs = runner.infer(stacked)
        inferred = time.perf_counter()
        for image, probabilities in zip(stacked, outputs.probabilities, strict=True):
            decide("image", image.shape, probabilities, None, 0.0)
        times["engine"].append((inferred - started) / len(stacked))
        times["decide"].append((time.perf_counter() - inferred) / len(stacked))
    return {stage: float(np.median(seconds)) * 1000 for stage, seconds in times.items() if seconds}
