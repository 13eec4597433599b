"""The live scenario: frames at a set rate, newest first, from capture to label, as `infer` reads a camera."""

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

# Different frames, decoded before the clock runs: a camera hands over pixels.
_FRAMES = 8


def time_live(runner: Runner, paths: Sequence[str], fps: float, seconds: float) -> dict[str, Any]:
    """Plays images as a camera of `fps` frames a second and classifies each that is the newest when the engine is free.

    Returns plain values: frames that came, how many a newer one replaced, and latency_ms, of each label from the moment
    its frame was there.
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
        # By the clock, not by a pause after each frame: a camera does not wait for whom it feeds.
        if stop.wait(max(0.0, started + number / fps - time.perf_counter())):
            return
        image = images[number % len(images)]
        yield Input("frame", partial(_hand_over, image), frame=number, captured=time.perf_counter())


def _hand_over(image: Image) -> Image:
    return image
