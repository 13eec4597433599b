"""Reads regions of a whole-slide image through tiffslide, at a suitable pyramid level."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssr_edge.common.errors import InputError
from ssr_edge.common.install_hint import install_hint
from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import IMAGE_SIZE, Image
from ssr_edge.sources.inputs import Region
from ssr_edge.sources.recognize import quiet_tifffile

# Outside this range, a TIFF's resolution is a print resolution (72 dpi is 353 um), not a scanner's.
_PLAUSIBLE_MPP = (0.05, 20.0)
_BLOCK = 1024  # level pixels read at once for a thumbnail: bounds memory for slides without a small level
_NEXT = "ssr-edge infer FOLDER  (the other inputs are still classified)"


class Slide:
    """An open slide of 8-bit RGB; regions may be read from any thread.

    size: width and height of level 0 in pixels. mpp: width and height of a level-0 pixel in micrometers.
    """

    def __init__(self, path: Path, mpp: float | None = None) -> None:
        """Opens a slide. mpp: overrides the resolution in the file.

        Raises:
            InputError: the file is not a slide, is damaged or lacks its mpp, or the extra `wsi` is not installed.
        """
        self.path = path
        self._tiff = _open(path)
        try:
            properties = self._tiff.properties
            self.size: tuple[int, int] = self._tiff.dimensions
            series = self._tiff.ts_tifffile.series[properties["tiffslide.series-index"]]
            pixels = f"{series.dtype} {series.axes} {series.shape}"
            rgb8 = series.dtype == np.uint8 and series.axes == "YXS" and series.shape[2] == 3
        except Exception as error:
            raise _bad(path, f"the slide is damaged: {_first_line(error)}") from error
        if not rgb8:
            raise _bad(path, f"the slide's pixels are {pixels}, not 8-bit RGB")
        self.mpp = (mpp, mpp) if mpp else _mpp(path, properties)

    def read(self, region: Region) -> Image:
        """Reads a region as uint8 [h, w, 3], BGR, in [0, 255].

        It is read at the coarsest level with at least IMAGE_SIZE pixels on both sides, or at level 0 if there is none;
        parts of the region outside the slide are omitted.

        Raises:
            InputError: this part of the file is damaged.
        """
        level = self._tiff.get_best_level_for_downsample(min(region.width, region.height) / IMAGE_SIZE)
        factor = self._tiff.level_downsamples[level]
        size = round(region.width / factor), round(region.height / factor)
        return self._read(level, (region.x, region.y), size, f"tile at x {region.x}, y {region.y}")

    def thumbnail(self, side: int) -> tuple[Image, npt.NDArray[np.bool_]]:
        """Reads the whole slide, neither side longer than `side` pixels.

        Returns uint8 [h, w, 3], BGR, in [0, 255], and bool [h, w], true where the file could not be read.
        """
        shrink = max(1.0, max(self.size) / side)
        width, height = (max(1, round(pixels / shrink)) for pixels in self.size)
        level = self._tiff.get_best_level_for_downsample(shrink)
        factor = self._tiff.level_downsamples[level]
        level_width, level_height = self._tiff.level_dimensions[level]
        image = np.full((height, width, 3), 255, np.uint8)
        unread = np.zeros((height, width), np.bool_)
        step = max(1, _BLOCK * width // level_width)
        for top in range(0, height, step):
            for left in range(0, width, step):
                bottom, right = min(top + step, height), min(left + step, width)
                x, y = left * level_width // width, top * level_height // height
                size = right * level_width // width - x, bottom * level_height // height - y
                try:
                    # tiffslide takes level-0 coordinates and rounds them down.
                    block = self._read(level, (math.ceil(x * factor), math.ceil(y * factor)), size, "thumbnail")
                except InputError:
                    unread[top:bottom, left:right] = True
                else:
                    image[top:bottom, left:right] = cv2.resize(
                        block, (right - left, bottom - top), interpolation=cv2.INTER_AREA
                    )
        return image, unread

    def close(self) -> None:
        """Closes the file."""
        self._tiff.close()

    def _read(self, level: int, place: tuple[int, int], size: tuple[int, int], what: str) -> Image:
        try:
            rgb = self._tiff.read_region(place, level, size, as_array=True, padding=False)
            return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR).astype(np.uint8, copy=False)
        except MemoryError:
            raise
        except Exception as error:  # each codec raises its own errors
            raise _bad(self.path, f"{what}: {_first_line(error)}") from error


def _open(path: Path) -> Any:
    try:
        from tiffslide import TiffSlide
    except ImportError as error:
        raise InputError(
            f"{path}: {error.name} is not installed: {install_hint('wsi')}",
            expected="the packages of the extra 'wsi'",
            next_step=install_hint("wsi"),
        ) from error
    quiet_tifffile()
    try:
        with path.open("rb"):  # raises the system's own message
            pass
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NDPI: warnings about metadata that we do not use
            slide = TiffSlide(path)
            _ = slide.properties
    except OSError as error:
        raise _bad(path, (error.strerror or str(error)).lower()) from error
    except Exception as error:
        raise _bad(path, f"not a slide that tiffslide can read: {_first_line(error)}") from error
    return slide


def _mpp(path: Path, properties: dict[str, Any]) -> tuple[float, float]:
    try:
        x, y = (float(properties[f"tiffslide.mpp-{axis}"]) for axis in "xy")
    except (KeyError, TypeError, ValueError):
        x = y = math.nan
    low, high = _PLAUSIBLE_MPP
    if low <= x <= high and low <= y <= high:
        return x, y
    found = "no pixel size" if math.isnan(x) else f"an implausible pixel size of {x:g} um"
    raise InputError(
        f"{path}: the slide has {found}: set micrometers per pixel with --mpp",
        expected=f"a pixel size of {low:g} to {high:g} um in the file, or --mpp",
        next_step=f"ssr-edge infer {path} --mpp 0.25",
    )


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _bad(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: {reason}", expected="an SVS, an NDPI or a tiled TIFF of 8-bit RGB", next_step=_NEXT)
