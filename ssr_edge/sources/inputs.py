"""One image to classify, wherever it comes from: all that the pipeline knows of a source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ssr_edge.common.errors import InputError
from ssr_edge.images.preprocess import Image, decode


@dataclass(frozen=True)
class Region:
    """A rectangle of a slide in level-0 pixels, from its upper left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Input:
    """One image, decoded already (a frame) or not yet (a file).

    source: what the results call it. read: returns it as uint8 [h, w, 3], BGR, or raises InputError; called once, in
    any thread. frame: number of the page, frame or tile, from 0. seconds: when it was, since the start of a video file,
    or since 1970 (UTC) for a camera or stream; None for an image. captured: `time.perf_counter()` at the moment the
    frame was there; None where the clock starts when `read` does. region: what a tile shows of its slide.
    """

    source: str
    read: Callable[[], Image]
    frame: int = 0
    seconds: float | None = None
    captured: float | None = None
    region: Region | None = None


def still(path: Path) -> Input:
    """An image file."""
    return Input(str(path), partial(decode, path))


def unreadable(source: str, reason: str, frame: int = 0) -> Input:
    """A place where an image should be and is not; its reason ends up in the list of failures."""
    return Input(source, partial(_fail, reason), frame)


def _fail(reason: str) -> Image:
    raise InputError(reason, expected="a whole file; copy it again", next_step="ssr-edge infer FOLDER")
