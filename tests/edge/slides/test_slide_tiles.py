"""Tiles compared with the images that a synthetic slide was made of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from ssr_edge.common.errors import InputError
from ssr_edge.images.preprocess import Image, resize
from ssr_edge.slides.field import field_micrometers
from ssr_edge.slides.tiles import SlideTiles
from ssr_edge.sources.inputs import Region
from tests.edge.slides.made_slides import COLUMNS, HEIGHT, MPP, PLACES, WIDTH, MadeSlide, write_slide


def test_tissue_tiles_in_reading_order_have_the_pixels_of_their_images(made_slide: MadeSlide) -> None:
    tiles = SlideTiles(made_slide.path, 100)
    found = list(tiles)
    assert tiles.tile_size == (WIDTH, HEIGHT)
    assert (len(tiles.tissue), len(tiles)) == (20, 6)
    assert [tile.frame for tile in found] == list(PLACES)
    for tile in found:
        row, column = divmod(tile.frame, COLUMNS)
        assert tile.region == Region(column * WIDTH, row * HEIGHT, WIDTH, HEIGHT)
        np.testing.assert_array_equal(tile.read(), made_slide.images[tile.frame])


def test_threads_read_the_same_pixels(made_slide: MadeSlide) -> None:
    tiles = list(SlideTiles(made_slide.path, 100)) * 4
    with ThreadPoolExecutor(4) as pool:
        for tile, image in zip(tiles, pool.map(lambda tile: tile.read(), tiles), strict=True):
            np.testing.assert_array_equal(image, made_slide.images[tile.frame])


def test_a_finer_scan_is_read_at_the_level_just_finer_than_wanted(tmp_path: Path, stained: list[Image]) -> None:
    image = stained[0]
    fine = cv2.resize(image, (4 * WIDTH, 4 * HEIGHT), interpolation=cv2.INTER_NEAREST)
    # 1840 rows to 224 are 8.2 to 1, columns 12.5 to 1. Level 4 has the image itself; level 10 has too few rows.
    path = write_slide(tmp_path / "fine.tif", fine, mpp=MPP / 4, levels=(1, 2, 4, 10))
    (tile,) = SlideTiles(path, 100)
    assert tile.region == Region(0, 0, 4 * WIDTH, 4 * HEIGHT)
    np.testing.assert_array_equal(tile.read(), image)


def test_each_magnification_shows_its_own_field(made_slide: MadeSlide) -> None:
    assert [field_micrometers(m) for m in (40, 100, 200, 400)] == [
        pytest.approx((1137.5, 747.5)),
        pytest.approx((455, 299)),
        pytest.approx((227.5, 149.5)),
        pytest.approx((113.75, 74.75)),
    ]
    tiles = SlideTiles(made_slide.path, 200)
    assert tiles.tile_size == (WIDTH // 2, HEIGHT // 2)
    assert len(tiles) == 4 * len(PLACES)
    assert {tile.read().shape for tile in tiles} == {(HEIGHT // 2, WIDTH // 2, 3)}


def test_a_tile_counts_from_half_tissue_on(tmp_path: Path, stained: list[Image]) -> None:
    glass = np.full((2 * HEIGHT, 2 * WIDTH, 3), 255, np.uint8)
    glass[:HEIGHT, 280 : 280 + WIDTH] = stained[0]  # 60 % of the first tile, 40 % of the second
    glass[HEIGHT:, WIDTH + 200 : WIDTH + 300] = stained[1][:, :100]  # a seventh of the last
    tiles = SlideTiles(write_slide(tmp_path / "s.tif", glass), 100)
    assert tiles.tissue.tolist() == [True, False, False, False]


def test_the_mpp_of_a_jpeg_svs_is_read(tmp_path: Path, made_slide: MadeSlide) -> None:
    glass = cv2.cvtColor(tifffile.imread(made_slide.path), cv2.COLOR_RGB2BGR)
    written = write_slide(
        tmp_path / "aperio.svs",
        glass,
        mpp=None,
        levels=(1,),
        compression="jpeg",
        compressionargs={"level": 95},
        description=f"Aperio Image Library v10.0\n3821x1963 |AppMag = 10|MPP = {MPP}",
        metadata=None,
    )
    tiles = list(SlideTiles(written, 100))
    assert [tile.frame for tile in tiles] == list(PLACES)
    for tile in tiles:
        difference = cv2.absdiff(resize(tile.read()), resize(made_slide.images[tile.frame]))
        assert difference.mean() < 3  # blue and red swapped: above 20


def test_the_users_mpp_overrides_the_slides(made_slide: MadeSlide) -> None:
    assert SlideTiles(made_slide.path, 100, mpp=MPP / 2).tile_size == (2 * WIDTH, 2 * HEIGHT)


def test_a_damaged_part_costs_its_tile_alone(tmp_path: Path, made_slide: MadeSlide) -> None:
    with tifffile.TiffFile(made_slide.path) as file:
        start, length = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    data = bytearray(made_slide.path.read_bytes())
    data[start : start + length] = bytes(length)
    (tmp_path / "slide.tif").write_bytes(data)
    first, *others = SlideTiles(tmp_path / "slide.tif", 100)
    with pytest.raises(InputError) as error:
        first.read()
    assert "slide.tif: tile at x 0, y 0: " in error.value.found
    # The thumbnail is unreadable around the damage, so bare tiles are read there too.
    assert {tile.frame for tile in others} >= set(PLACES[1:])
    for tile in others:
        expected = made_slide.images.get(tile.frame, np.full((HEIGHT, WIDTH, 3), 255, np.uint8))
        np.testing.assert_array_equal(tile.read(), expected)


def test_where_the_thumbnail_is_unreadable_tiles_are_tried(tmp_path: Path, stained: list[Image]) -> None:
    path = write_slide(tmp_path / "one_level.tif", np.tile(stained[0], (4, 4, 1)), levels=(1,))
    data = path.read_bytes()
    # The directory is at the front; the last rows of tiles are gone.
    path.write_bytes(data[: len(data) * 3 // 4])
    tiles = SlideTiles(path, 100)
    assert len(tiles) == 16
    read = 0
    for tile in tiles:
        try:
            np.testing.assert_array_equal(tile.read(), stained[0])
            read += 1
        except InputError:
            continue
    assert 8 <= read < 16


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "tiffslide"), (b"II*\0 no slide", "tiffslide"), (None, "no such file or directory")],
)
def test_what_is_no_slide_is_refused(tmp_path: Path, content: bytes | None, found: str) -> None:
    path = tmp_path / "x.svs"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        SlideTiles(path, 100)
    assert found in caught.value.found
    assert "\n" not in caught.value.found


def test_a_slide_without_mpp_names_the_option(tmp_path: Path, stained: list[Image]) -> None:
    path = write_slide(tmp_path / "s.tif", stained[0], mpp=None)
    with pytest.raises(InputError) as missing:
        SlideTiles(path, 100)
    assert "--mpp" in missing.value.found
    write_slide(path, stained[0], mpp=25_400 / 72)
    with pytest.raises(InputError) as implausible:
        SlideTiles(path, 100)
    assert "352.778 um" in implausible.value.found
    assert "--mpp" in implausible.value.next_step
    assert len(SlideTiles(path, 100, mpp=MPP)) == 1


def test_what_is_too_small_or_not_8_bit_rgb_is_refused(tmp_path: Path, stained: list[Image]) -> None:
    path = write_slide(tmp_path / "small.tif", stained[0][:, :-10])
    with pytest.raises(InputError) as small:
        SlideTiles(path, 100)
    assert "100X, 700x460 pixels" in small.value.found
    tifffile.imwrite(path, np.zeros((600, 900, 3), np.uint16), photometric="rgb", tile=(256, 256))
    with pytest.raises(InputError) as deep:
        SlideTiles(path, 100)
    assert "uint16" in deep.value.found
