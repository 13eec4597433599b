"""Turns what a user names into inputs: images, pages of a TIFF, frames of a video, a camera or a stream."""

from __future__ import annotations

from ssr_edge.sources.choose import Source, open_source
from ssr_edge.sources.inputs import Input, still
from ssr_edge.sources.paths import find_sources

__all__ = ["Input", "Source", "find_sources", "open_source", "still"]
