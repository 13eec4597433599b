"""The interface of destinations for annotated images."""

from __future__ import annotations

from typing import Protocol

from ssr_edge.images.preprocess import Image
from ssr_edge.inference.prediction import Prediction


class Sink(Protocol):
    """A destination for annotated images."""

    def add(self, image: Image, prediction: Prediction) -> None:
        """Adds an annotated image, uint8 [h, w, 3], BGR, in [0, 255]."""

    def close(self) -> None:
        """Completes the output."""
