"""Reads regions of a whole-slide image through tiffslide, at the pyramid level that suits."""

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

# Outside this, a TIFF's resolution is for a printer (72 dpi is 353 um), not from a scanner.
_PLAUSIBLE_MPP = (0.05, 20.0)
_BLOCK = 1024  # level pixels read at once for a thumbnail: memory stays flat where a slide has no small level
_NEXT = "ssr-edge infer FOLDER  (the other inputs are classified all the same)"


class Slide:
    """An open slide of 8-bit RGB; regions may be read from any thread.

    size: width and height of level 0, pixels. mpp: micrometers a level-0 pixel is wide and high.
    """

    def __init__(self, path: Path, mpp: float | None = None) -> None:
        """mpp: goes before what the slide says.

        Raises:
            InputError: the file is no slide, is damaged, does not say its mpp, or the extra `wsi` is missing.
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
            raise _bad(path, f"the slide is damaged: {_words(error)}") from error
        if not rgb8:
            raise _bad(path, f"the slide's pixels are {pixels}, not 8-bit RGB")
        self.mpp = (mpp, mpp) if mpp else _mpp(path, properties)

    def read(self, region: Region) -> Image:
        """The region as uint8 [h, w, 3], BGR, at the coarsest level that still has IMAGE_SIZE pixels on both sides.

        At level 0 where none has; the part of a region outside the slide is left out.

        Raises:
            InputError: this part of the file is damaged.
        """
        level = self._tiff.get_best_level_for_downsample(min(region.width, region.height) / IMAGE_SIZE)
        factor = self._tiff.level_downsamples[level]
        size = round(region.width / factor), round(region.height / factor)
        return self._read(level, (region.x, region.y), size, f"tile at x {region.x}, y {region.y}")

    def thumbnail(self, side: int) -> tuple[Image, npt.NDArray[np.bool_]]:
        """The whole slide as uint8 [h, w, 3], BGR, neither more than `side`; and where it could not be read."""
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
                    # tiffslide takes level-0 places and rounds them down.
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
        except Exception as error:  # every codec has its own errors
            raise _bad(self.path, f"{what}: {_words(error)}") from error


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
        with path.open("rb"):  # for the system's own words
            pass
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NDPI: metadata that we don't ask for
            slide = TiffSlide(path)
            _ = slide.properties
    except OSError as error:
        raise _bad(path, (error.strerror or "can't be read").lower()) from error
    except Exception as error:
        raise _bad(path, f"not a slide that tiffslide reads: {_words(error)}") from error
    return slide


def _mpp(path: Path, properties: dict[str, Any]) -> tuple[float, float]:
    try:
        x, y = (float(properties[f"tiffslide.mpp-{axis}"]) for axis in "xy")
    except (KeyError, TypeError, ValueError):
        x = y = math.nan
    low, high = _PLAUSIBLE_MPP
    if low <= x <= high and low <= y <= high:
        return x, y
    found = (
        "does not say how large a pixel is" if math.isnan(x) else f"says a pixel is {x:g} um wide, as no scanner's is"
    )
    raise InputError(
        f"{path}: the slide {found}: give micrometers per pixel with --mpp",
        expected="a resolution in the file, or --mpp",
        next_step=f"ssr-edge infer {path} --mpp 0.25",
    )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _bad(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: {reason}", expected="an SVS, an NDPI or a tiled TIFF of 8-bit RGB", next_step=_NEXT)
