"""Classifies a source: in batches and in order, or only the newest frame of a camera or stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event

import numpy as np

from ssr_edge.common.progress import Log
from ssr_edge.images.preprocess import IMAGE_SIZE
from ssr_edge.inference.live import LatestFrame, LiveReport, classify_live
from ssr_edge.inference.pipeline import Failure, classify
from ssr_edge.inference.prediction import Prediction
from ssr_edge.runners.base import Runner
from ssr_edge.sources.choose import Source

# annotate(prediction, fps): the prediction has its image; fps is None except for a live source.
Annotate = Callable[[Prediction, float | None], None]


def run_source(
    source: Source,
    runner: Runner,
    *,
    batch_size: int,
    threads: int,
    magnification: int | None,
    stop: Event,
    keep_images: bool = False,
    annotate: Annotate | None = None,
    log: Log | None = None,
) -> Iterator[Prediction | Failure]:
    """Yields the results of a source, each after calling `annotate` with it. Other arguments as for `classify`.

    log: called with the statistics of a live source, one line every ten seconds and one at the end.
    """
    keep = keep_images or annotate is not None
    if not source.live:
        results = classify(source.inputs, runner, batch_size, threads, magnification, keep_images=keep, stop=stop)
        for result in results:
            if annotate is not None and isinstance(result, Prediction):
                annotate(result, None)
            yield result
        return
    # Warm-up: the first call of an engine takes many times as long as later ones, and no frame should wait for it.
    runner.infer(np.zeros((1, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8))
    with LatestFrame(source.inputs, stop) as newest:
        report = LiveReport(newest, log)
        try:
            for result in classify_live(newest, runner, magnification, keep_images=keep):
                if isinstance(result, Prediction):
                    report.add(result)
                    if annotate is not None:
                        annotate(result, report.fps())
                yield result
        finally:
            report.finish()
