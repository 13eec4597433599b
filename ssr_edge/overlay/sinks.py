"""Where annotated images go."""

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
    """Opens what `--save` and `--show` ask for, and closes it at the end of the block. name: the source's.

    Raises:
        UsageError: this can't be saved so, or not there. RuntimeUnavailable: there is no window to show it in.
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
