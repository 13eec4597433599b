"""The live scenario: frames at a fixed rate, latest first, from capture to label, as `infer` reads a camera."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from threading import Event
from typing import Any

from ssr_edge.images.preprocess import Image, decode, load_first
from ssr_edge.inference.live import LatestFrame, classify_live
from ssr_edge.inference.prediction import Prediction
from ssr_edge.runners.base import Runner
from ssr_edge.sources.inputs import Input

# Distinct frames, decoded before timing starts, since a camera delivers pixels.
_FRAMES = 8


def time_live(runner: Runner, paths: Sequence[str], fps: float, seconds: float) -> dict[str, Any]:
    """Plays images like a camera at `fps` and classifies the latest frame whenever the engine is free.

    Returns plain values: frames delivered; dropped, i.e. replaced by a newer frame; latency_ms from the arrival of a
    frame to its label.
    """
    stop = Event()
    newest = LatestFrame(_camera(load_first(paths, _FRAMES, decode), fps, seconds, stop), stop)
    with newest:
        found = [result for result in classify_live(newest, runner) if isinstance(result, Prediction)]
    return {
        "frames": newest.frames,
        "dropped": newest.dropped,
        "latency_ms": [round(result.latency_ms, 4) for result in found],
    }


def _camera(images: Sequence[Image], fps: float, seconds: float, stop: Event) -> Iterator[Input]:
    started = time.perf_counter()
    for number in range(max(1, round(fps * seconds))):
        # Paced by the clock, not by a pause per frame: a camera does not wait for its consumer.
        if stop.wait(max(0.0, started + number / fps - time.perf_counter())):
            return
        image = images[number % len(images)]
        yield Input("frame", partial(_hand_over, image), frame=number, captured=time.perf_counter())


def _hand_over(image: Image) -> Image:
    return image
