"""The frames of a video file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from ssr_edge.common.errors import InputError
from ssr_edge.images.preprocess import Image
from ssr_edge.sources.capture import open_video
from ssr_edge.sources.inputs import Input, unreadable

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".mjpg", ".mjpeg"}
)
# A header may count a few more frames than the file has; a whole missing second means that it is truncated.
_MISSING_S = 1.0


def frames_of_video(path: Path, stop: Event, every: int = 1, paced: bool = False) -> Iterator[Input]:
    """Yields the frames whose number is a multiple of `every`, in order, until the end or until `stop` is set.

    paced: yields each frame at its time in the video, as a camera would. A video that can't be opened, or that ends
    more than a second before the length in its header, yields an input that fails.
    """
    try:
        capture = open_video(path)
    except InputError as error:
        yield unreadable(str(path), error.found.removeprefix(f"{path}: "))
        return
    number, started = 0, time.perf_counter()
    try:
        while not stop.is_set() and capture.grab():
            seconds = capture.media_seconds()
            if paced:
                stop.wait(started + seconds - time.perf_counter())
            if number % every == 0:
                yield frame_of(str(path), capture.retrieve(), number, seconds, time.perf_counter())
            number += 1
        missing = 0 if stop.is_set() or capture.frames is None else capture.frames - number
        if missing > _MISSING_S * (capture.fps or 25):
            reason = f"frame {number}: the video ends here, but its header lists {capture.frames} frames"
            yield unreadable(str(path), reason, number)
    finally:
        capture.close()


def frame_of(source: str, image: Image | None, number: int, seconds: float, captured: float) -> Input:
    """The input for a frame. image: uint8 [h, w, 3], BGR, or None if decoding failed."""
    if image is None:
        return unreadable(source, f"frame {number}: it can't be decoded", number)
    return Input(source, lambda: image, number, seconds, captured)
