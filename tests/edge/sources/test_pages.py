from __future__ import annotations

import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ssr_edge.common.errors import InputError
from ssr_edge.images.preprocess import decode
from ssr_edge.sources.pages import pages_of

PAGES = 4


@pytest.fixture(scope="module")
def images(demo_images: list[Path]) -> list[np.ndarray]:
    return [decode(path)[: 100 + 10 * number, :150] for number, path in enumerate(demo_images[:PAGES])]


@pytest.fixture(scope="module")
def tiff(tmp_path_factory: pytest.TempPathFactory, images: list[np.ndarray]) -> Path:
    path = tmp_path_factory.mktemp("tiff") / "stack.tif"
    assert cv2.imwritemulti(str(path), images)
    return path


def numbered(path: Path) -> list[int]:
    return [page.frame for page in pages_of(path)]


def test_each_page_is_an_input(tiff: Path, images: list[np.ndarray]) -> None:
    pages = list(pages_of(tiff))
    assert [(page.source, page.frame, page.seconds) for page in pages] == [(str(tiff), n, None) for n in range(PAGES)]
    for page, image in zip(pages, images, strict=True):
        np.testing.assert_array_equal(page.read(), image)


def test_a_single_page_is_a_still(tmp_path: Path, images: list[np.ndarray]) -> None:
    path = tmp_path / "one.tiff"
    cv2.imwrite(str(path), images[0])
    (page,) = pages_of(path)
    assert page.frame == 0
    np.testing.assert_array_equal(page.read(), images[0])


@pytest.mark.skipif(os.name != "posix", reason="elsewhere names are Unicode")
def test_a_name_that_is_not_utf8(tmp_path: Path, tiff: Path, images: list[np.ndarray]) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.tif")
    path.write_bytes(tiff.read_bytes())
    np.testing.assert_array_equal(list(pages_of(path))[2].read(), images[2])


def test_pages_behind_a_break_are_one_failure(tmp_path: Path, tiff: Path) -> None:
    path = tmp_path / "half.tif"
    path.write_bytes(tiff.read_bytes()[: tiff.stat().st_size // 2])
    *pages, last = pages_of(path)
    assert 0 < len(pages) < PAGES
    for page in pages:
        assert page.read().ndim == 3
    with pytest.raises(InputError) as error:
        last.read()
    assert f"page {len(pages)}:" in error.value.found
    assert last.frame == len(pages)


def test_what_is_no_tiff_is_left_to_the_decoder(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no image")
    for name, reason in (("text.tif", "not an image"), ("missing.tif", "no such file"), ("zero\0.tif", "null byte")):
        (page,) = pages_of(tmp_path / name)
        with pytest.raises(InputError) as error:
            page.read()
        assert reason in error.value.found


def test_a_big_tiff_is_counted(tmp_path: Path) -> None:
    directory = struct.pack("<Q", 1) + bytes(20)
    data = b"II" + struct.pack("<HHHQ", 43, 8, 0, 16)
    data += directory + struct.pack("<Q", 16 + 36) + directory + struct.pack("<Q", 0)
    path = tmp_path / "big.tif"
    path.write_bytes(data)
    assert numbered(path) == [0, 1]


def test_a_chain_that_bites_its_tail_ends(tmp_path: Path) -> None:
    path = tmp_path / "loop.tif"
    path.write_bytes(b"MM" + struct.pack(">HI", 42, 8) + struct.pack(">H", 0) + struct.pack(">I", 8))
    assert numbered(path) == [0, 1]  # the page, and the failure behind it


@given(st.binary(max_size=200), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b""]))
@example(b"\xff" * 100, b"II+\0")
def test_any_bytes_are_some_pages(tmp_path_factory: pytest.TempPathFactory, data: bytes, mark: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "any.tif"
    path.write_bytes(mark + data)
    pages = numbered(path)
    assert pages == list(range(len(pages))) and len(pages) >= 1
