"""One run over a source: batches in order, or the newest frame, with annotated copies on the side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Event

import numpy as np

from ssr_edge.images.preprocess import IMAGE_SIZE
from ssr_edge.inference.live import LatestFrame, LiveReport, classify_live
from ssr_edge.inference.pipeline import Failure, classify
from ssr_edge.inference.prediction import Prediction
from ssr_edge.overlay.draw import draw
from ssr_edge.overlay.sink import Sink
from ssr_edge.runners.base import Runner
from ssr_edge.sources.choose import Source


def run_source(
    source: Source,
    runner: Runner,
    *,
    batch_size: int,
    threads: int,
    magnification: int | None,
    stop: Event,
    sinks: Sequence[Sink] = (),
) -> Iterator[Prediction | Failure]:
    """Yields the results of a source, and gives each one's image to the sinks. The arguments are `classify`'s."""
    keep = bool(sinks)
    if not source.live:
        for result in classify(source.inputs, runner, batch_size, threads, magnification, keep_images=keep, stop=stop):
            _annotate(result, sinks, None)
            yield result
        return
    # An engine's first call takes many times as long as the others: no frame should wait for it.
    runner.infer(np.zeros((1, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8))
    with LatestFrame(source.inputs, stop) as newest:
        report = LiveReport(newest)
        try:
            for result in classify_live(newest, runner, magnification, keep_images=keep):
                if isinstance(result, Prediction):
                    report.add(result)
                _annotate(result, sinks, report.fps())
                yield result
        finally:
            report.finish()


def _annotate(result: Prediction | Failure, sinks: Sequence[Sink], fps: float | None) -> None:
    if isinstance(result, Failure) or result.image is None:
        return
    draw(result.image, result, fps)
    for sink in sinks:
        sink.add(result.image, result)
