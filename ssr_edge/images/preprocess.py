"""The single definition of preprocessing, shared by training, calibration, inference and the CUDA kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssr_edge.common.errors import InputError
from ssr_edge.images.opencv import MAX_PIXELS, cv2

IMAGE_SIZE = 224
# ImageNet's channel statistics in OpenCV's channel order (blue, green, red), for values in [0, 1].
MEAN_BGR = (0.406, 0.456, 0.485)
STD_BGR = (0.225, 0.224, 0.229)
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
IMAGE_SUFFIXES = TIFF_SUFFIXES | {".png", ".jpg", ".jpeg", ".bmp", ".webp"}

Image = npt.NDArray[np.uint8]

_NEXT = "ssr-edge infer FOLDER  (the other images are still classified)"


def decode(path: str | Path, page: int = 0) -> Image:
    """Reads an image file as uint8 [height, width, 3], BGR, in [0, 255]. page: page of a multi-page TIFF, from 0.

    Gray, 16-bit, palette, CMYK and alpha images are converted; the format is detected from the content, not from the
    suffix. A truncated JPEG or PNG is rejected, because OpenCV would fill the missing part with gray without an error.

    Raises:
        InputError: the file is missing, unreadable, empty, truncated, too large or not an image.
    """
    try:
        # Memory-mapped, so that reading one page does not read the whole file.
        data: Image = np.memmap(path, np.uint8, "r") if page else np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise _bad(path, (error.strerror or "can't be read").lower(), "a readable file") from error
    except ValueError as error:  # a zero byte in a path from stdin
        raise _bad(path, f"no file can have this name: {error}", "a readable file") from error
    return decode_bytes(data, path, page)


def decode_bytes(data: Image, path: str | Path, page: int = 0) -> Image:
    """Like `decode`, for the content of a file, uint8 [size]. path: the file's name in errors.

    Raises:
        InputError: as for `decode`.
    """
    if data.size == 0:
        raise _bad(path, "the file is empty", "an image of at least one byte")
    if not _is_complete(data):
        raise _bad(path, "the image is truncated: its end marker is missing", "a complete file; copy it again")
    try:
        image = _decode_page(data, page) if page else cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        if "PIXELS" in str(error):
            raise _bad(
                path, f"the image has more than {MAX_PIXELS:,} pixels", "a field of view, or a slide cut into tiles"
            ) from error
        raise _bad(path, f"OpenCV can't decode it: {error.err}", "PNG, JPEG, TIFF, BMP or WebP") from error
    if image is None or image.size == 0:
        raise _bad(path, "the content is damaged or not an image", "PNG, JPEG, TIFF, BMP or WebP")
    return image.astype(np.uint8, copy=False)


def resize(image: Image, size: int = IMAGE_SIZE) -> Image:
    """Resizes uint8 [h, w, 3] to [size, size, 3] by area averaging; the aspect ratio is not kept, as in the paper."""
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def load(path: str | Path, size: int = IMAGE_SIZE) -> Image:
    """`decode`, then `resize`: uint8 [size, size, 3], BGR, in [0, 255]."""
    return resize(decode(path), size)


def load_first(paths: Iterable[str | Path], count: int, read: Callable[[str | Path], Image] = load) -> list[Image]:
    """Returns the first `count` readable images, or fewer if there are not enough; unreadable ones are skipped.

    read: `load` (resized to 224x224), or `decode` for full-size images.
    """
    images: list[Image] = []
    for path in paths:
        try:
            images.append(read(path))
        except InputError:
            continue
        if len(images) == count:
            break
    return images


def _decode_page(data: Image, page: int) -> Image | None:
    found, images = cv2.imdecodemulti(data, cv2.IMREAD_COLOR, range=(page, page + 1))
    return images[0].astype(np.uint8, copy=False) if found else None


def _is_complete(data: Image) -> bool:
    head = data[:8].tobytes()
    if head.startswith(b"\xff\xd8\xff"):
        # Some cameras append bytes after the end marker, so the last 64 KiB are searched for it.
        return b"\xff\xd9" in data[-65536:].tobytes()
    if head == b"\x89PNG\r\n\x1a\n":
        return b"IEND" in data[-65536:].tobytes()
    return True


def _bad(path: str | Path, reason: str, expected: str) -> InputError:
    return InputError(f"{path}: {reason}", expected=expected, next_step=_NEXT)
