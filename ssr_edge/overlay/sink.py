"""What takes annotated images."""

from __future__ import annotations

from typing import Protocol

from ssr_edge.decide import Prediction
from ssr_edge.images.preprocess import Image


class Sink(Protocol):
    """Takes annotated images, uint8 [h, w, 3], BGR."""

    def add(self, image: Image, prediction: Prediction) -> None:
        """Takes one."""

    def close(self) -> None:
        """Completes what was begun."""
