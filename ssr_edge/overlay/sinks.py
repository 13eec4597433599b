"""Opens the destinations of annotated images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from ssr_edge.overlay.save import open_save
from ssr_edge.overlay.sink import Sink
from ssr_edge.overlay.window import Window
from ssr_edge.sources.choose import Source


@contextmanager
def open_sinks(source: Source, name: str, save: str | None, show: bool, stop: Event) -> Iterator[list[Sink]]:
    """Opens the sinks for `--save` and `--show`, and closes them at the end of the block.

    name: the source as the user gave it. save: a folder or NAME.mp4. stop: set when the user closes the window.

    Raises:
        UsageError: the source can't be saved in this format or to this place. RuntimeUnavailable: no window can be
        opened.
    """
    sinks: list[Sink] = []
    try:
        if save is not None:
            sinks.append(open_save(save, source, name))
        if show:
            sinks.append(Window(stop))
        yield sinks
    finally:
        for sink in sinks:
            sink.close()
