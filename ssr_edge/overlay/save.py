"""Keeps annotated images: one video, or a folder of JPEG files."""

from __future__ import annotations

from pathlib import Path

from ssr_edge.common.errors import RuntimeUnavailable, UsageError
from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import Image
from ssr_edge.inference.prediction import Prediction
from ssr_edge.overlay.sink import Sink
from ssr_edge.sources.capture import is_utf8
from ssr_edge.sources.choose import Source
from ssr_edge.sources.video import VIDEO_SUFFIXES

# Of a camera or stream, whose own figure is often wrong; each frame is shown for as long as it was the newest.
_STREAM_FPS = 25.0
_LONGEST_STILL_S = 1.0
_QUALITY = 95


def open_save(target: str, source: Source, name: str) -> Sink:
    """The sink for `--save`: NAME.mp4 for a video, a camera or a stream, or else a folder. name: the source's.

    Raises:
        UsageError: the source is no moving image, another kind of video is asked for, or the place can't be written.
    """
    path = Path(target)
    suffix = path.suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        return FolderSink(path, Path(name))
    # OpenCV takes no name that is not UTF-8.
    if suffix != ".mp4" or not source.moving or not is_utf8(path):
        raise UsageError(
            f"{target} can't be made of {source.shown}" if not source.moving else f"{target} is no video to write",
            expected="NAME.mp4, in UTF-8, for a video, a camera or a stream; a folder for anything",
            next_step=f"ssr-edge infer {source.shown} --save annotated/",
        )
    _make_folder(path.parent)
    return VideoSink(path, source.fps or _STREAM_FPS)


class VideoSink:
    """An MPEG-4 video that plays as fast as what it shows was.

    Where frames are missing the next is shown for their time as well; of more than a second without frames nothing is
    kept. All frames have the first one's size.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._fps = path, fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._start, self._written = 0.0, 0

    def add(self, image: Image, prediction: Prediction) -> None:
        """See Sink."""
        seconds = prediction.seconds or 0.0
        if self._writer is None:
            self._size, self._start = (image.shape[1], image.shape[0]), seconds
            self._writer = self._open()
        if image.shape[1::-1] != self._size:
            # The encoder refuses it, and says so only in a log.
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA).astype(image.dtype, copy=False)
        position = round((seconds - self._start) * self._fps)
        if position - self._written > _LONGEST_STILL_S * self._fps:
            self._start, position = seconds - self._written / self._fps, self._written
        while self._written <= position:
            self._writer.write(image)
            self._written += 1

    def close(self) -> None:
        """See Sink."""
        if self._writer is not None:
            self._writer.release()

    def _open(self) -> cv2.VideoWriter:
        writer = cv2.VideoWriter(
            str(self._path.absolute()), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), self._fps, self._size
        )
        if not writer.isOpened():
            raise RuntimeUnavailable(
                f"OpenCV {cv2.__version__} can't write {self._path}",
                expected="a folder that you may write to, and an OpenCV whose FFmpeg encodes MPEG-4",
                next_step="the same command with --save annotated/",
            )
        return writer


class FolderSink:
    """A JPEG file for each image, at its path below the source, and for each frame, in a folder named as its file."""

    def __init__(self, folder: Path, source: Path) -> None:
        self._folder, self._source = folder, source
        _make_folder(folder)

    def add(self, image: Image, prediction: Prediction) -> None:
        """See Sink."""
        path = self._place(Path(prediction.source), prediction)
        _make_folder(path.parent)
        try:
            path.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())
        except OSError as error:
            raise _unwritable(path, error) from error

    def close(self) -> None:
        """See Sink."""

    def _place(self, source: Path, prediction: Prediction) -> Path:
        below = source.relative_to(self._source) if source.is_relative_to(self._source) else source
        # Whatever the names are, nothing is written outside the folder.
        parts = [part for part in below.parts if part not in (below.anchor, "..")]
        parts = parts or [source.name.strip(".") or "image"]
        if prediction.seconds is None and prediction.frame == 0:
            return self._folder.joinpath(*parts[:-1], f"{parts[-1]}.jpg")
        return self._folder.joinpath(*parts, f"{prediction.frame:06d}.jpg")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{path} can't be written: {error.strerror}",
        expected="a folder with room in it that you may write to",
        next_step="the same command with --save OTHER/",
    )
