"""Draws a slide's malignant probabilities over its thumbnail."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import Image
from ssr_edge.slides.tiles import SlideTiles
from ssr_edge.sources.inputs import Region

# Perceptually uniform, and readable with red-green color blindness.
_COLORS = cv2.COLORMAP_VIRIDIS
_OPACITY = 0.55
_TISSUE_GRAY = 190
_LEGEND_HEIGHT = 110
_NARROWEST = 640  # below this the legend would not fit
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK = (40, 40, 40)


class HeatMap:
    """A slide's thumbnail in gray, with the color of each classified tile blended over it."""

    def __init__(self, tiles: SlideTiles) -> None:
        self._tiles = tiles
        gray = cv2.cvtColor(tiles.thumbnail, cv2.COLOR_BGR2GRAY)
        self._image: Image = np.stack([gray] * 3, axis=-1).astype(np.uint8, copy=False)

    def add(self, region: Region, malignant: float) -> None:
        """Colors a region. malignant: its malignant probability, in [0, 1]."""
        place = self._image[self._tiles.on_thumbnail(region)]
        place[:] = _over(place, _colors(np.array([malignant])))

    def drawn(self) -> Image:
        """The map with its legend below (probabilities, scale bar, disclaimer), uint8 [h, w, 3], BGR, in [0, 255]."""
        height, width = self._image.shape[:2]
        image = np.full((height + _LEGEND_HEIGHT, max(width, _NARROWEST), 3), 255, np.uint8)
        image[:height, :width] = self._image
        legend = image[-_LEGEND_HEIGHT:]
        _probability_scale(legend[:, :360])
        _length_scale(legend[:, 360:], self._micrometers_per_pixel())
        _write(legend, f"{self._tiles.magnification}X. No color: no tissue, or not read.", (10, 80))
        _write(legend, "Research use only, not a medical device.", (10, 100))
        return image

    def _micrometers_per_pixel(self) -> float:
        slide = self._tiles.slide
        return float(slide.mpp[0] * slide.size[0] / self._tiles.thumbnail.shape[1])


def _probability_scale(legend: Image) -> None:
    _write(legend, "malignant probability", (10, 16))
    left, width = 15, 300
    # Blended as over tissue.
    tissue = np.full((16, width, 3), _TISSUE_GRAY, np.uint8)
    legend[24:40, left : left + width] = _over(tissue, _colors(np.linspace(0, 1, width)))
    for value in (0, 0.25, 0.5, 0.75, 1):
        x = left + round(value * (width - 1))
        cv2.line(legend, (x, 40), (x, 44), _INK)
        _write(legend, f"{value:g}", (x - 4 * len(f"{value:g}"), 58))


def _length_scale(legend: Image, micrometers_per_pixel: float) -> None:
    """Draws a scale bar of 1, 2 or 5 times a power of ten micrometers, at most 160 pixels long."""
    longest = 160 * micrometers_per_pixel
    power = 10.0 ** math.floor(math.log10(longest))
    length = max(factor * power for factor in (1, 2, 5) if factor * power <= longest)
    pixels = round(length / micrometers_per_pixel)
    cv2.rectangle(legend, (10, 28), (10 + pixels, 34), _INK, cv2.FILLED)
    _write(legend, f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} um", (10, 16))


def _colors(probabilities: npt.NDArray[np.float64]) -> Image:
    """Colors of n probabilities in [0, 1], uint8 [n, 3], BGR."""
    values = np.rint(255 * probabilities).astype(np.uint8)[:, None]
    return np.asarray(cv2.applyColorMap(values, _COLORS)[:, 0], np.uint8)


def _over(image: Image, colors: Image) -> Image:
    """Blends colors, uint8 [w or 1, 3], over an image, uint8 [h, w, 3]."""
    return np.rint((1 - _OPACITY) * image + _OPACITY * colors).astype(np.uint8)


def _write(legend: Image, text: str, place: tuple[int, int]) -> None:
    cv2.putText(legend, text, place, _FONT, 0.45, _INK, 1, cv2.LINE_AA)
