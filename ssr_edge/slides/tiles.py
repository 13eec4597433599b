"""Splits a slide into tiles with the field of view of a BreaKHis image at the bundle's magnification."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ssr_edge.common.errors import InputError
from ssr_edge.slides.field import field_micrometers
from ssr_edge.slides.reader import Slide
from ssr_edge.slides.tissue import find_tissue
from ssr_edge.sources.inputs import Input, Region, unreadable

_THUMBNAIL_SIDE = 2048
_TISSUE_SHARE = 0.5
# Smallest piece of tissue or hole in it that counts, as a share of a tile's area.
_SMALLEST_PART = 0.25


def slide_tiles(path: Path, magnification: int | None, mpp: float | None) -> Iterator[Input]:
    """Yields a slide's tiles; a slide that can't be opened yields one input that fails. Arguments: as `open_tiles`."""
    try:
        tiles = open_tiles(path, magnification, mpp)
    except InputError as error:
        yield unreadable(str(path), error.found)
    else:
        yield from tiles


def open_tiles(path: Path, magnification: int | None, mpp: float | None) -> SlideTiles:
    """Opens a slide as tiles. magnification: the bundle's. mpp: micrometers per level-0 pixel; None for the slide's.

    Raises:
        InputError: as SlideTiles; or no magnification, which gives the size of a tile.
    """
    if magnification is None:
        raise InputError(
            f"{path}: the size of a tile is unknown without a bundle trained for one magnification",
            expected="a bundle trained on 40X, 100X, 200X or 400X; with --server, name it with --bundle",
            next_step="ssr-edge inspect",
        )
    return SlideTiles(path, magnification, mpp)


class SlideTiles:
    """The tiles of a slide with tissue on at least half of their area, in reading order; an iterable of Input.

    Tiles are adjacent and do not overlap; a rest narrower than a tile at the right and lower edge is ignored. An
    input's `frame` is its tile's index in reading order among all tiles, with and without tissue.

    tile_size: width and height of a tile in level-0 pixels. tissue: bool [tiles], true for tiles with tissue.
    thumbnail: uint8 [h, w, 3], BGR. magnification: as in BreaKHis. Memory: the thumbnail, a byte per tile, and the tile
    being read.

    Raises:
        InputError: the slide can't be opened, lacks its mpp, or is smaller than one tile.
    """

    def __init__(self, path: Path, magnification: int, mpp: float | None = None) -> None:
        self.path = path
        self.magnification = magnification
        self.slide = Slide(path, mpp)
        field = field_micrometers(magnification)
        self.tile_size = round(field[0] / self.slide.mpp[0]), round(field[1] / self.slide.mpp[1])
        self._columns, rows = (whole // tile for whole, tile in zip(self.slide.size, self.tile_size, strict=True))
        if not self._columns or not rows:
            raise InputError(
                f"{path}: the slide is smaller than one field of view at {magnification}X, "
                f"{self.tile_size[0]}x{self.tile_size[1]} pixels",
                expected=f"a slide of at least {field[0]:.0f}x{field[1]:.0f} um",
                next_step="ssr-edge infer FOLDER, with fields of view as images",
            )
        self.thumbnail, unread = self.slide.thumbnail(_THUMBNAIL_SIDE)
        self._scale = self.thumbnail.shape[1] / self.slide.size[0], self.thumbnail.shape[0] / self.slide.size[1]
        tile_area = self.tile_size[0] * self._scale[0] * self.tile_size[1] * self._scale[1]
        # Unreadable areas of the thumbnail count as tissue, so that their tiles are read and each reports its own
        # error.
        mask = find_tissue(self.thumbnail, _SMALLEST_PART * tile_area) | unread
        regions = map(self._region, range(rows * self._columns))
        self.tissue = np.array([mask[self.on_thumbnail(region)].mean() >= _TISSUE_SHARE for region in regions])

    def __len__(self) -> int:
        return int(self.tissue.sum())

    def __iter__(self) -> Iterator[Input]:
        for number in np.flatnonzero(self.tissue).tolist():
            region = self._region(number)
            yield Input(str(self.path), partial(self.slide.read, region), number, region=region)

    def on_thumbnail(self, region: Region) -> tuple[slice, slice]:
        """Rows and columns of the thumbnail that cover a region, at least one of each."""
        rows = self._span(region.y, region.height, self._scale[1], self.thumbnail.shape[0])
        return rows, self._span(region.x, region.width, self._scale[0], self.thumbnail.shape[1])

    @staticmethod
    def _span(start: int, length: int, scale: float, end: int) -> slice:
        first = min(round(start * scale), end - 1)
        return slice(first, max(first + 1, round((start + length) * scale)))

    def _region(self, number: int) -> Region:
        row, column = divmod(number, self._columns)
        width, height = self.tile_size
        return Region(column * width, row * height, width, height)
