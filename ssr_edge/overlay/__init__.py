"""Predictions drawn on the images they are of: in a window, a video or a folder."""

from __future__ import annotations

from ssr_edge.overlay.draw import draw
from ssr_edge.overlay.sink import Sink
from ssr_edge.overlay.sinks import open_sinks

__all__ = ["Sink", "draw", "open_sinks"]
