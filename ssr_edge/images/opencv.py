"""OpenCV, configured before it is imported, because it reads its limits then. Every module takes `cv2` from here."""

from __future__ import annotations

import os

from ssr_edge.common.errors import RuntimeUnavailable

# Headers that claim more pixels are refused before memory is allocated.
MAX_PIXELS = 1 << 27
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

try:
    import cv2 as cv2
except ModuleNotFoundError as error:
    raise RuntimeUnavailable(
        f"{error.name} is not installed",
        expected="the package opencv-python, a dependency of ssr-edge",
        next_step="pip install opencv-python",
    ) from error
except ImportError as error:
    # opencv-python's windows link to libGL and GLib, which servers and slim images do not have.
    raise RuntimeUnavailable(
        f"OpenCV can't be loaded: {error}",
        expected="the system libraries of opencv-python, or opencv-python-headless in its place",
        next_step="sudo apt install libgl1 libglib2.0-0",
    ) from error
