"""Inputs that a process on another machine can read: images and TIFF pages, by path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Event

from ssr_edge.common.errors import UsageError
from ssr_edge.sources.choose import open_source
from ssr_edge.sources.inputs import Input, unreadable


def open_files(source: str, stop: Event, every: int = 1) -> Iterator[Input]:
    """The inputs of `open_source`, in its order. A slide or a video among other files becomes an input that fails.

    Raises:
        UsageError: the source is empty, or is itself a slide, a video, a camera or a stream.
    """
    opened = open_source(source, stop, every, tiles_of=_refused, frames_of=lambda path, _stop, _every: _refused(path))
    if opened.moving:
        raise UsageError(
            f"--ray does not support {opened.shown}: frames are read in sequence, on one machine",
            expected="a folder, a glob, or paths of images on stdin",
            next_step=f"ssr-edge infer {opened.shown}",
        )
    return opened.inputs


def _refused(path: Path) -> Iterable[Input]:
    return [unreadable(str(path), "--ray reads images only: ssr-edge infer " + str(path))]
