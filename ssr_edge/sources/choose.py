"""Detects what a source is: files, a video, a camera, a stream or a GStreamer pipeline."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from ssr_edge.common.errors import InputError, UsageError
from ssr_edge.images.preprocess import TIFF_SUFFIXES
from ssr_edge.sources.capture import open_video
from ssr_edge.sources.inputs import Input, still
from ssr_edge.sources.pages import pages_of
from ssr_edge.sources.paths import find_sources
from ssr_edge.sources.recognize import is_slide
from ssr_edge.sources.stdin import paths_on_stdin
from ssr_edge.sources.stream import frames_of_stream
from ssr_edge.sources.video import VIDEO_SUFFIXES, frames_of_video

STREAM_SCHEMES = ("rtsp", "rtsps", "http", "https")
FramesOf = Callable[[Path, Event, int], Iterable[Input]]
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE | re.ASCII)
_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/]*@")


@dataclass(frozen=True)
class Source:
    """What `infer` reads.

    inputs: the inputs in order; the iterator may block. live: process only the latest frame and drop older ones.
    moving: a single video, camera or stream, which can be saved as a video. shown: the name without a password. fps:
    inputs per second of a video, None if unknown. repeatable: reading it again yields the same inputs.
    """

    inputs: Iterator[Input]
    live: bool
    moving: bool
    shown: str
    fps: float | None = None
    repeatable: bool = True


def open_source(
    source: str,
    stop: Event,
    every: int = 1,
    live: bool | None = None,
    tiles_of: Callable[[Path], Iterable[Input]] = lambda path: [still(path)],
    frames_of: FramesOf = frames_of_video,
) -> Source:
    """Opens a source: detects its kind and returns its inputs.

    source: a folder, glob, image, slide or video, `-` for paths on stdin, a camera's number, a URL or a GStreamer
    pipeline. stop: setting it ends the inputs soon, even while they block. every: yields only the frames or pages of a
    file or stream whose number is a multiple of it. live: by default on for cameras and streams only. tiles_of: splits
    a slide into tiles. frames_of: splits a video among other files into frames.

    Raises:
        UsageError: the source does not exist, or can't be live.
        RuntimeUnavailable: while the inputs are read, if a camera or stream can't be opened.
    """
    shown = without_password(source)
    if _is_stream(source):
        return Source(frames_of_stream(source, shown, stop, every), live is not False, True, shown, repeatable=False)
    path = Path(source)
    if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
        frames = frames_of_video(path, stop, every, paced=bool(live))
        return Source(frames, bool(live), True, shown, _fps(path, every), repeatable=not live)
    if live:
        raise UsageError(
            f"--live does not apply to {source}, which contains images",
            expected="--live with a video, a camera or a stream",
            next_step=f"ssr-edge infer {source}",
        )
    paths = paths_on_stdin(stop) if source == "-" else find_sources(source)
    return Source(_expand(paths, stop, every, tiles_of, frames_of), False, False, shown)


def without_password(source: str) -> str:
    """Replaces the password in a URL by `***`, because source names are written to result files."""
    return _PASSWORD.sub(r"\1:***@", source)


def _is_stream(source: str) -> bool:
    if " ! " in source:
        return True
    if scheme := _SCHEME.match(source):
        if scheme[1].lower() not in STREAM_SCHEMES:
            raise UsageError(
                f"unsupported stream protocol {scheme[0]}",
                expected=", ".join(f"{name}://" for name in STREAM_SCHEMES),
                next_step="ssr-edge infer rtsp://HOST/PATH",
            )
        return True
    try:
        path = Path(source)
        return path.is_char_device() or (source.isascii() and source.isdecimal() and not path.exists())
    except (OSError, ValueError):  # not a valid file name: find_sources reports it
        return False


def _fps(video: Path, every: int) -> float | None:
    try:
        capture = open_video(video)
    except InputError:
        return None
    capture.close()
    return capture.fps and capture.fps / every


def _expand(
    paths: Iterable[Path], stop: Event, every: int, tiles_of: Callable[[Path], Iterable[Input]], frames_of: FramesOf
) -> Iterator[Input]:
    for path in paths:
        suffix = path.suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            yield from frames_of(path, stop, every)
        elif is_slide(path):  # before pages_of, because a pyramid has a page for each level
            yield from tiles_of(path)
        elif suffix in TIFF_SUFFIXES:
            yield from (page for page in pages_of(path) if page.frame % every == 0)
        else:
            yield still(path)
