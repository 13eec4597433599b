"""Decoding and resizing: exact numbers on real images, and every kind of hostile file is refused with its reason."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_edge.common.errors import InputError
from ssr_edge.images.preprocess import Image, decode, load, load_first, resize
from tests.edge.image_files import encoded, png_that_claims, tiff_that_claims


@pytest.fixture(scope="module")
def jpeg(demo_images: list[Path]) -> bytes:
    return demo_images[0].read_bytes()


@pytest.fixture(scope="module")
def photo(jpeg: bytes) -> Image:
    """A microscope image, uint8 [460, 700, 3], BGR."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image.astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    return encoded(".png", image)


def write(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def refusal(path: Path | str) -> str:
    """Why a file is refused, after its name."""
    with pytest.raises(InputError) as error:
        decode(path)
    return error.value.found.removeprefix(f"{path}: ")


def test_decoding_gives_opencvs_bgr(demo_images: list[Path], photo: Image) -> None:
    image = decode(demo_images[0])
    assert image.shape == (460, 700, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(image, photo)
    # Eosin and hematoxylin: pink and violet, so blue and red are above green.
    blue, green, red = image.reshape(-1, 3).mean(axis=0)
    assert green < min(blue, red)


def test_loading_is_opencvs_area_average_exactly(demo_images: list[Path]) -> None:
    for path in demo_images[:4]:
        expected = cv2.resize(decode(path), (224, 224), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(load(path), expected)
        np.testing.assert_array_equal(load(path, 64), cv2.resize(decode(path), (64, 64), interpolation=cv2.INTER_AREA))


def test_area_averaging_by_hand() -> None:
    blocks = np.arange(2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 3) * 20
    image = np.repeat(np.repeat(blocks, 4, axis=0), 3, axis=1)
    image[0, 0] += 12  # one of the twelve pixels of a block
    expected = blocks.copy()
    expected[0, 0] += 1
    np.testing.assert_array_equal(resize(image, 2), expected)


def test_the_whole_image_is_used_and_small_ones_grow(photo: Image) -> None:
    assert resize(photo[:46, :70]).shape == (224, 224, 3)
    assert resize(photo[:1, :1]).tolist() == np.full((224, 224, 3), photo[0, 0]).tolist()


@pytest.mark.parametrize("suffix", [".bmp", ".tiff", ".png"])
def test_lossless_formats_give_the_same_pixels(tmp_path: Path, photo: Image, suffix: str) -> None:
    np.testing.assert_array_equal(decode(write(tmp_path, f"x{suffix}", encoded(suffix, photo))), photo)


def test_webp_is_close(tmp_path: Path, photo: Image) -> None:
    found = decode(write(tmp_path, "x.webp", encoded(".webp", photo)))
    assert np.abs(found.astype(int) - photo).mean() < 3


def test_the_content_says_the_format_not_the_suffix(tmp_path: Path, jpeg: bytes, photo: Image) -> None:
    np.testing.assert_array_equal(decode(write(tmp_path, "jpeg.png", jpeg)), photo)
    np.testing.assert_array_equal(decode(write(tmp_path, "png.jpg", png(photo))), photo)
    np.testing.assert_array_equal(decode(write(tmp_path, "no suffix", png(photo))), photo)


def test_16_bit_gray_and_alpha_are_converted(tmp_path: Path, photo: Image) -> None:
    gray = photo[..., 1]
    wide = write(tmp_path, "wide.png", png(photo.astype(np.uint16) * 257))
    np.testing.assert_array_equal(decode(wide), photo)
    np.testing.assert_array_equal(decode(write(tmp_path, "gray.png", png(gray))), np.dstack([gray] * 3))
    np.testing.assert_array_equal(decode(write(tmp_path, "alpha.png", png(np.dstack([photo, gray])))), photo)


def test_palettes_and_cmyk_are_converted(tmp_path: Path, demo_images: list[Path], photo: Image) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow writes what OpenCV can't: palettes and CMYK")
    with pillow.open(demo_images[0]) as image:
        palette = image.quantize(64)
        palette.save(tmp_path / "palette.png")
        image.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
        expected = np.asarray(palette.convert("RGB"))[..., ::-1]
    np.testing.assert_array_equal(decode(tmp_path / "palette.png"), expected)
    assert np.abs(decode(tmp_path / "cmyk.jpg").astype(int) - photo).mean() < 4


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "empty" in refusal(write(tmp_path, "x.png", b""))


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_jpeg_is_refused(tmp_path: Path, jpeg: bytes, share: float) -> None:
    assert "truncated" in refusal(write(tmp_path, "x.jpg", jpeg[: int(share * len(jpeg))]))


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_png_is_refused(tmp_path: Path, photo: Image, share: float) -> None:
    data = png(photo)
    assert "truncated" in refusal(write(tmp_path, "x.png", data[: int(share * len(data))]))


@pytest.mark.parametrize("suffix", [".bmp", ".tiff", ".webp"])
def test_other_truncated_formats_are_refused(tmp_path: Path, photo: Image, suffix: str) -> None:
    data = encoded(suffix, photo)
    assert "damaged" in refusal(write(tmp_path, f"x{suffix}", data[: len(data) // 2]))


def test_a_jpeg_with_bytes_after_its_end_is_read(tmp_path: Path, jpeg: bytes, photo: Image) -> None:
    np.testing.assert_array_equal(decode(write(tmp_path, "x.jpg", jpeg + bytes(2000))), photo)


def test_a_png_with_a_hole_in_its_middle_is_refused(tmp_path: Path, photo: Image) -> None:
    data = png(photo)
    hole = data[: len(data) // 2] + data[len(data) // 2 + 5000 :]
    assert "damaged" in refusal(write(tmp_path, "x.png", hole))


def test_text_is_no_image(tmp_path: Path) -> None:
    assert "not an image" in refusal(write(tmp_path, "x.png", b"source,frame,label\n" * 100))


def test_a_header_that_claims_2_5_gigapixels_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    for name, claims in (("x.png", png_that_claims), ("x.tif", tiff_that_claims)):
        assert "more than 134,217,728 pixels" in refusal(write(tmp_path, name, claims(50_000, 50_000)))


def test_a_header_without_its_pixels_is_refused(tmp_path: Path) -> None:
    assert "damaged" in refusal(write(tmp_path, "x.png", png_that_claims(700, 460)))
    assert "damaged" in refusal(write(tmp_path, "y.png", png_that_claims(0, 0)))


@settings(max_examples=30)
@given(
    head=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*", b"GIF89a", b"RIFF"]),
    body=st.binary(min_size=1, max_size=200),
    tail=st.sampled_from([b"", b"\xff\xd9", b"IEND"]),
)
def test_random_bytes_behind_any_signature_are_read_or_refused(
    tmp_path: Path, head: bytes, body: bytes, tail: bytes
) -> None:
    path = write(tmp_path, "x", head + body + tail)
    with suppress(InputError):
        assert decode(path).shape[2] == 3


@settings(max_examples=40)
@given(st.data())
def test_a_damaged_byte_costs_an_input_error_at_most(tmp_path: Path, photo: Image, data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from([".png", ".jpg", ".bmp", ".tiff", ".webp"]))
    content = bytearray(encoded(suffix, photo[:40, :40]))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = write(tmp_path, f"x{suffix}", bytes(content))
    with suppress(InputError):
        assert decode(path).dtype == np.uint8


def test_what_can_not_be_opened_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "missing.png") == "no such file or directory"
    assert refusal(tmp_path) == "is a directory"
    assert refusal(tmp_path / ("long" * 100)) == "file name too long"
    assert "null byte" in refusal("zero\0byte.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert "symbolic links" in refusal(tmp_path / "loop.png")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path, jpeg: bytes) -> None:
    path = write(tmp_path, "x.jpg", jpeg)
    path.chmod(0)
    assert refusal(path) == "permission denied"


def test_a_refusal_names_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load(tmp_path / "missing.png")
    assert error.value.exit_code == 3
    assert "ssr-edge infer" in error.value.next_step


def test_the_first_readable_images_are_taken_in_order(demo_images: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"")
    found = load_first([broken, demo_images[0], broken, demo_images[1], demo_images[2]], 2)
    assert len(found) == 2
    assert np.array_equal(found[0], load(demo_images[0]))
    assert np.array_equal(found[1], load(demo_images[1]))
    assert load_first([broken], 5) == []
