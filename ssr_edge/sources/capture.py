"""Opens video files, cameras and streams in OpenCV, with time-outs, or says why that can't be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from ssr_edge.common.errors import InputError, RuntimeUnavailable
from ssr_edge.images.preprocess import Image

# FFmpeg would write its complaints between the results; read when the first video is opened.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

from ssr_edge.images.opencv import cv2

OPEN_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 5.0
# Decoder threads would each hold a frame back. RTSP over TCP, as OpenCV has it by default: a lost UDP packet smears the
# image until the next key frame. FFmpeg's nobuffer is not among them: it loses the first frame and gained nothing.
_LOW_DELAY = "rtsp_transport;tcp|flags;low_delay"
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


class Capture:
    """An open video, camera or stream.

    fps: what it says of itself, None where that can't be true. frames: how many its header promises; None for a camera
    or a stream.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 1 <= fps <= 240 else None
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frames = int(count) if 0 < count < 1 << 53 else None

    def grab(self) -> bool:
        """Waits for the next frame; False at the end, after READ_TIMEOUT_S, or when the connection is lost."""
        return self._capture.grab()

    def media_seconds(self) -> float:
        """Where the frame grabbed last stands in a video."""
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def retrieve(self) -> Image | None:
        """The frame grabbed last as uint8 [h, w, 3], BGR; None if it can't be decoded."""
        found, image = self._capture.retrieve()
        return cast(Image, image) if found and image is not None and image.ndim == 3 else None

    def close(self) -> None:
        """Gives the device or connection back."""
        self._capture.release()


def open_video(path: Path) -> Capture:
    """A video file.

    Raises:
        InputError: missing, empty, cut off or not a video.
    """
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
            # Absolute, so that no name is taken for a protocol; OpenCV takes none, or crashes, that is not UTF-8.
            name = str(path.absolute()) if is_utf8(path) else f"/dev/fd/{file.fileno()}"
            capture = None if empty else cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InputError(f"{path}: {reason}", expected="a readable file", next_step="ssr-edge infer VIDEO") from error
    if capture is None or not capture.isOpened():
        reason = "the file is empty" if empty else "the video is damaged, cut off, or of a kind FFmpeg can't read"
        raise InputError(f"{path}: {reason}", expected="a video that plays", next_step="ssr-edge infer VIDEO")
    return Capture(capture)


def is_utf8(path: Path) -> bool:
    """Whether OpenCV can be given a path: where names are bytes, those that are no text become lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in str(path.absolute()))


def open_stream(source: str, shown: str) -> Capture:
    """A camera (`0`, `/dev/video0`), an rtsp:// or http:// stream, or a GStreamer pipeline.

    shown: how messages call it, without a password.

    Raises:
        RuntimeUnavailable: it can't be reached within OPEN_TIMEOUT_S, or this OpenCV has no GStreamer.
    """
    if " ! " in source:
        return _opened(
            _gstreamer(source), shown, "pipeline", "a pipeline that gst-launch-1.0 runs, with appsink at its end"
        )
    if "://" in source:
        expected = f"a stream that answers within {OPEN_TIMEOUT_S:.0f} s; ffplay shows the reason"
        return _opened(_network(source), shown, "stream", expected)
    capture = cv2.VideoCapture(int(source)) if source.isdecimal() else cv2.VideoCapture(source, cv2.CAP_V4L2)
    return _opened(capture, shown, "camera", "a camera that no other program uses; v4l2-ctl --list-devices lists them")


def _network(url: str) -> cv2.VideoCapture:
    timeouts = [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(OPEN_TIMEOUT_S * 1000)),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(READ_TIMEOUT_S * 1000)),
    ]
    # Options that the user has set come first; OpenCV reads them for files as well, where these do not belong.
    if _OPTIONS in os.environ:
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, timeouts)
    os.environ[_OPTIONS] = _LOW_DELAY
    try:
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, timeouts)
    finally:
        del os.environ[_OPTIONS]


def _gstreamer(pipeline: str) -> cv2.VideoCapture:
    # That the backend is listed says little: it may be a plug-in that is not there.
    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        raise RuntimeUnavailable(
            f"OpenCV {cv2.__version__} was built without GStreamer, as all of PyPI's are",
            expected="an OpenCV with GStreamer: JetPack's own, or Debian's and Ubuntu's python3-opencv",
            next_step="pip uninstall opencv-python && sudo apt install python3-opencv  "
            "(and a virtual environment made with --system-site-packages)",
        )
    return cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)


def _opened(capture: cv2.VideoCapture, shown: str, kind: str, expected: str) -> Capture:
    if not capture.isOpened():
        raise RuntimeUnavailable(
            f"{shown} can't be opened as a {kind}", expected=expected, next_step=f"ssr-edge infer {shown}"
        )
    return Capture(capture)
