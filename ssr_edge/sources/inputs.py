"""One image to classify. The pipeline sees every kind of source as an iterable of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ssr_edge.common.errors import InputError
from ssr_edge.images.preprocess import Image, decode


@dataclass(frozen=True)
class Region:
    """A rectangle of a slide in level-0 pixels. x, y: its upper left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Input:
    """One image, already decoded (a frame) or not yet (a file).

    source: its name in the results. read: returns it as uint8 [h, w, 3], BGR, in [0, 255], or raises InputError; called
    once, from any thread. frame: number of the page, frame or tile, from 0. seconds: its time, in seconds since the
    start of a video file, or since 1970 (UTC) for a camera or stream; None for an image. captured:
    `time.perf_counter()` when the frame arrived; None to measure latency from the call of `read`. region: the part of
    the slide that a tile shows.
    """

    source: str
    read: Callable[[], Image]
    frame: int = 0
    seconds: float | None = None
    captured: float | None = None
    region: Region | None = None


def still(path: Path) -> Input:
    """The input for an image file."""
    return Input(str(path), partial(decode, path))


def unreadable(source: str, reason: str, frame: int = 0) -> Input:
    """An input that fails when it is read. reason: for the list of failures."""
    return Input(source, partial(_fail, reason), frame)


def _fail(reason: str) -> Image:
    raise InputError(reason, expected="a complete file; copy it again", next_step="ssr-edge infer FOLDER")
