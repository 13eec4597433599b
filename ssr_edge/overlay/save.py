"""Saves annotated images as one video or as a folder of JPEG files."""

from __future__ import annotations

from pathlib import Path

from ssr_edge.common.errors import RuntimeUnavailable, UsageError
from ssr_edge.common.files import cannot_write
from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import Image
from ssr_edge.inference.prediction import Prediction
from ssr_edge.overlay.sink import Sink
from ssr_edge.sources.capture import is_utf8
from ssr_edge.sources.choose import Source
from ssr_edge.sources.video import VIDEO_SUFFIXES

# Frame rate for a camera or stream, whose reported rate is often wrong; frames are repeated to keep their timing.
_STREAM_FPS = 25.0
_LONGEST_STILL_S = 1.0
_QUALITY = 95
_NEXT = "the same command with --save OTHER/"


def open_save(target: str, source: Source, name: str) -> Sink:
    """Opens the sink for `--save`. target: NAME.mp4 for a video, a camera or a stream, otherwise a folder.

    name: the source as the user gave it; paths in the folder are relative to it.

    Raises:
        UsageError: a video is requested of a source without frames or in another format, or target can't be written.
    """
    path = Path(target)
    suffix = path.suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        return FolderSink(path, Path(name))
    # OpenCV takes no name that is not UTF-8.
    if suffix != ".mp4" or not source.moving or not is_utf8(path):
        raise UsageError(
            f"{target}: {source.shown} is not a video" if not source.moving else f"{target}: unsupported video name",
            expected="NAME.mp4, in UTF-8, for a video, a camera or a stream; a folder for any source",
            next_step=f"ssr-edge infer {source.shown} --save annotated/",
        )
    _make_folder(path.parent)
    return VideoSink(path, source.fps or _STREAM_FPS)


class VideoSink:
    """An MPEG-4 video that plays at the speed of its source.

    Missing frames are filled with the next one; gaps of more than a second are cut out. All frames are resized to the
    size of the first.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._fps = path, fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._start, self._written = 0.0, 0

    def add(self, image: Image, prediction: Prediction) -> None:
        """Appends an image at its prediction's time; see Sink."""
        seconds = prediction.seconds or 0.0
        if self._writer is None:
            self._size, self._start = (image.shape[1], image.shape[0]), seconds
            self._writer = self._open()
        if image.shape[1::-1] != self._size:
            # The encoder would drop the frame and only log an error.
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA).astype(image.dtype, copy=False)
        position = round((seconds - self._start) * self._fps)
        if position - self._written > _LONGEST_STILL_S * self._fps:
            self._start, position = seconds - self._written / self._fps, self._written
        while self._written <= position:
            self._writer.write(image)
            self._written += 1

    def close(self) -> None:
        """Completes the video; see Sink."""
        if self._writer is not None:
            self._writer.release()

    def _open(self) -> cv2.VideoWriter:
        writer = cv2.VideoWriter(
            str(self._path.absolute()), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), self._fps, self._size
        )
        if not writer.isOpened():
            raise RuntimeUnavailable(
                f"OpenCV {cv2.__version__} can't write {self._path}",
                expected="a writable folder, and an OpenCV build whose FFmpeg encodes MPEG-4",
                next_step="the same command with --save annotated/",
            )
        return writer


class FolderSink:
    """A folder of JPEG files that mirrors the source: one for each image, and a subfolder for each file with frames."""

    def __init__(self, folder: Path, source: Path) -> None:
        self._folder, self._source = folder, source
        _make_folder(folder)

    def add(self, image: Image, prediction: Prediction) -> None:
        """Writes an image; see Sink."""
        path = self._place(Path(prediction.source), prediction)
        _make_folder(path.parent)
        try:
            path.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())
        except OSError as error:
            raise cannot_write(path, error, _NEXT) from error

    def close(self) -> None:
        """Does nothing; see Sink."""

    def _place(self, source: Path, prediction: Prediction) -> Path:
        below = source.relative_to(self._source) if source.is_relative_to(self._source) else source
        # Nothing is written outside the folder, whatever the source's name.
        parts = [part for part in below.parts if part not in (below.anchor, "..")]
        parts = parts or [source.name.strip(".") or "image"]
        if prediction.seconds is None and prediction.frame == 0:
            return self._folder.joinpath(*parts[:-1], f"{parts[-1]}.jpg")
        return self._folder.joinpath(*parts, f"{prediction.frame:06d}.jpg")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error, _NEXT) from error
