"""The heat map: each tile's color against its probability, and the legend."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ssr_edge.images.preprocess import Image
from ssr_edge.slides.heat_map import HeatMap
from ssr_edge.slides.tiles import SlideTiles
from tests.edge.slides.made_slides import MPP, PLACES, MadeSlide, write_slide


def test_each_tile_has_its_probabilitys_color_and_the_rest_none(made_slide: MadeSlide) -> None:
    tiles = SlideTiles(made_slide.path, 100)
    heat_map = HeatMap(tiles)
    bare = heat_map.drawn()
    given = dict(zip(PLACES, (0, 0.2, 0.4, 0.6, 0.8, 1), strict=True))
    for tile in tiles:
        assert tile.region is not None
        heat_map.add(tile.region, given[tile.frame])
    drawn = heat_map.drawn()
    for tile in tiles:
        assert tile.region is not None
        place = tiles.on_thumbnail(tile.region)
        color = cv2.applyColorMap(np.array([[round(255 * given[tile.frame])]], np.uint8), cv2.COLORMAP_VIRIDIS)[0, 0]
        expected = 0.45 * bare[place].astype(float) + 0.55 * color
        assert np.abs(drawn[place] - expected).max() <= 1
        bare[place] = drawn[place]
    np.testing.assert_array_equal(drawn, bare)


def test_the_thumbnail_is_left_gray_and_the_legend_is_below(made_slide: MadeSlide) -> None:
    tiles = SlideTiles(made_slide.path, 100)
    drawn = HeatMap(tiles).drawn()
    height, width = tiles.thumbnail.shape[:2]
    assert drawn.shape == (height + 110, width, 3)
    assert drawn.dtype == np.uint8
    assert (drawn[:height] == drawn[:height, :, :1]).all()
    colors = cv2.applyColorMap(np.array([[0], [255]], np.uint8), cv2.COLORMAP_VIRIDIS)[:, 0]
    scale = drawn[height + 30, [15, 314]]
    # Blended as over tissue, like the map itself.
    assert np.abs(scale - (0.45 * 190 + 0.55 * colors)).max() <= 1


@pytest.mark.parametrize(("mpp", "micrometers"), [(MPP, 100), (MPP * 4, 200)])
def test_the_length_scale_is_a_round_length(tmp_path: Path, stained: list[Image], mpp: float, micrometers: int) -> None:
    # A slide this small is its own thumbnail.
    tiles = SlideTiles(write_slide(tmp_path / "s.tif", stained[0], mpp=mpp), 100 if mpp == MPP else 40)
    legend = HeatMap(tiles).drawn()[460:]
    bar = (legend[31, 360:] == 40).all(axis=1)
    assert bar.sum() == pytest.approx(micrometers / mpp, abs=2)


def test_a_slide_narrower_than_its_legend_gets_a_margin(tmp_path: Path, stained: list[Image]) -> None:
    path = write_slide(tmp_path / "s.tif", cv2.resize(stained[0], (175, 115)), mpp=4 * MPP)
    drawn = HeatMap(SlideTiles(path, 100)).drawn()
    assert drawn.shape == (115 + 110, 640, 3)
    assert (drawn[:115, 175:] == 255).all()
