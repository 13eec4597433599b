"""Shows annotated images in a window."""

from __future__ import annotations

import os
import sys
from threading import Event

from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import Image
from ssr_edge.inference.prediction import Prediction

_TITLE = "ssr-edge: press q to stop"
_KEYS_THAT_END = (ord("q"), 27)  # Esc


class Window:
    """A window; q, Esc or closing it sets `stop`.

    Raises:
        RuntimeUnavailable: this OpenCV has no window support, or this session has no display.
    """

    def __init__(self, stop: Event) -> None:
        reason = _why_no_window(cv2.currentUIFramework())
        if reason:
            raise RuntimeUnavailable(
                f"no window can be opened: {reason}",
                expected="a desktop session, or ssh -X, for --show",
                next_step="the same command with --save annotated/ instead of --show",
            )
        self._stop = stop
        cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def add(self, image: Image, prediction: Prediction) -> None:
        """Shows an image, uint8 [h, w, 3], BGR, in [0, 255]."""
        cv2.imshow(_TITLE, image)
        if cv2.waitKey(1) & 0xFF in _KEYS_THAT_END or cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
            self._stop.set()

    def close(self) -> None:
        """Closes the window."""
        cv2.destroyAllWindows()


def _why_no_window(framework: str) -> str | None:
    """The reason as a phrase; None if a window can be opened. framework: OpenCV's, such as `QT`, `GTK3` or empty."""
    if not framework:
        return f"this OpenCV {cv2.__version__} is built without windows, as opencv-python-headless is"
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY"):
        return None
    # opencv-python's Qt has the X11 plugin only, and ends the process where there is no X server.
    if framework.startswith("QT") or not os.environ.get("WAYLAND_DISPLAY"):
        return "DISPLAY is not set"
    return None
