"""Opens video files, cameras and streams in OpenCV, with timeouts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from ssr_edge.common.errors import InputError, RuntimeUnavailable
from ssr_edge.images.preprocess import Image

# Otherwise FFmpeg writes warnings to the terminal. Read when the first video is opened.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

from ssr_edge.images.opencv import cv2

OPEN_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 5.0
# low_delay: each decoder thread would otherwise add a frame of latency. RTSP over TCP, OpenCV's default: a lost UDP
# packet corrupts the image until the next key frame. FFmpeg's nobuffer is not used: it loses the first frame and did
# not reduce latency.
_LOW_DELAY = "rtsp_transport;tcp|flags;low_delay"
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


class Capture:
    """An open video, camera or stream.

    fps: the reported frame rate, None if implausible. frames: the number of frames in its header; None for a camera or
    a stream.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 1 <= fps <= 240 else None
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frames = int(count) if 0 < count < 1 << 53 else None

    def grab(self) -> bool:
        """Waits for the next frame. False at the end, after READ_TIMEOUT_S, or if the connection is lost."""
        return self._capture.grab()

    def media_seconds(self) -> float:
        """Time of the last grabbed frame since the start of the video, in seconds."""
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def retrieve(self) -> Image | None:
        """The last grabbed frame as uint8 [h, w, 3], BGR, in [0, 255]; None if it can't be decoded."""
        found, image = self._capture.retrieve()
        return cast(Image, image) if found and image is not None and image.ndim == 3 else None

    def close(self) -> None:
        """Releases the device or connection."""
        self._capture.release()


def open_video(path: Path) -> Capture:
    """Opens a video file.

    Raises:
        InputError: the file is missing, empty, truncated or not a video.
    """
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
            # Absolute, so that FFmpeg takes no name for a protocol. OpenCV rejects names that are not UTF-8, or
            # crashes.
            name = str(path.absolute()) if is_utf8(path) else f"/dev/fd/{file.fileno()}"
            capture = None if empty else cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InputError(f"{path}: {reason}", expected="a readable file", next_step="ssr-edge infer VIDEO") from error
    if capture is None or not capture.isOpened():
        reason = "the file is empty" if empty else "the video is damaged, truncated, or in a format FFmpeg can't read"
        raise InputError(f"{path}: {reason}", expected="a playable video", next_step="ssr-edge infer VIDEO")
    return Capture(capture)


def is_utf8(path: Path) -> bool:
    """Whether OpenCV accepts a path: Python decodes bytes of a name that are not UTF-8 to lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in str(path.absolute()))


def open_stream(source: str, shown: str) -> Capture:
    """Opens a camera (`0`, `/dev/video0`), an rtsp:// or http:// stream, or a GStreamer pipeline.

    shown: its name in messages, without a password.

    Raises:
        RuntimeUnavailable: it can't be opened within OPEN_TIMEOUT_S, or this OpenCV has no GStreamer.
    """
    if " ! " in source:
        return _opened(
            _gstreamer(source), shown, "pipeline", "a pipeline that gst-launch-1.0 can run and that ends in appsink"
        )
    if "://" in source:
        expected = f"a stream that responds within {OPEN_TIMEOUT_S:.0f} s; ffplay shows the reason"
        return _opened(_network(source), shown, "stream", expected)
    capture = cv2.VideoCapture(int(source)) if source.isdecimal() else cv2.VideoCapture(source, cv2.CAP_V4L2)
    return _opened(
        capture, shown, "camera", "a camera that no other program uses; list them with v4l2-ctl --list-devices"
    )


def _network(url: str) -> cv2.VideoCapture:
    timeouts = [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(OPEN_TIMEOUT_S * 1000)),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(READ_TIMEOUT_S * 1000)),
    ]
    # Options set by the user take precedence. Ours are unset afterwards, because OpenCV applies them to files too.
    if _OPTIONS in os.environ:
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, timeouts)
    os.environ[_OPTIONS] = _LOW_DELAY
    try:
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, timeouts)
    finally:
        del os.environ[_OPTIONS]


def _gstreamer(pipeline: str) -> cv2.VideoCapture:
    # hasBackend, because getBackends also lists backends whose plug-in is not installed.
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
