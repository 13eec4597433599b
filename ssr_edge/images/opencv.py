"""OpenCV with its limits set. They are read when it is imported, so every module imports `cv2` from here."""

from __future__ import annotations

import os

# An image whose header claims more pixels is rejected before memory is allocated for it.
MAX_PIXELS = 1 << 27
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import cv2 as cv2  # noqa: E402
