"""What takes annotated images."""

from __future__ import annotations

from typing import Protocol

from ssr_edge.images.preprocess import Image
from ssr_edge.inference.prediction import Prediction


class Sink(Protocol):
    """Takes annotated images, uint8 [h, w, 3], BGR."""

    def add(self, image: Image, prediction: Prediction) -> None:
        """Takes one."""

    def close(self) -> None:
        """Completes what was begun."""
