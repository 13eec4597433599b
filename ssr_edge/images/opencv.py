"""OpenCV with its limits set: they are read when it is imported, so every module takes `cv2` from here."""

from __future__ import annotations

import os

# A header that claims more pixels is refused before memory is taken for it.
MAX_PIXELS = 1 << 27
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import cv2 as cv2  # noqa: E402
