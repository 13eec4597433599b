"""Draws each prediction on its image and hands the image to the sinks."""

from __future__ import annotations

from collections.abc import Sequence

from ssr_edge.inference.prediction import Prediction
from ssr_edge.inference.run import Annotate
from ssr_edge.overlay.draw import draw
from ssr_edge.overlay.sink import Sink


def annotator(sinks: Sequence[Sink]) -> Annotate | None:
    """A callback for `run_source` that feeds the sinks; None without sinks, so that no images are kept for nothing."""
    if not sinks:
        return None

    def annotate(prediction: Prediction, fps: float | None) -> None:
        assert prediction.image is not None
        draw(prediction.image, prediction, fps)
        for sink in sinks:
            sink.add(prediction.image, prediction)

    return annotate
