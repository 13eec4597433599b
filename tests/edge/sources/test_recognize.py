"""Slides and images side by side in a folder."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ssr_edge.images.preprocess import Image
from ssr_edge.sources.recognize import is_slide
from tests.edge.slides.made_slides import MadeSlide


def test_scanner_formats_go_by_their_suffix(tmp_path: Path) -> None:
    assert [is_slide(tmp_path / f"x{suffix}") for suffix in (".svs", ".NDPI", ".png", ".jpg", "")] == [
        *(True, True, False, False, False)
    ]


def test_a_tiff_goes_by_its_pyramid(tmp_path: Path, made_slide: MadeSlide, stained: list[Image]) -> None:
    assert is_slide(made_slide.path)
    plain: dict[str, dict[str, Any]] = {"flat": {}, "tiled": {"tile": (256, 256)}, "pages": {}}
    for name, options in plain.items():
        image = np.stack(stained[:2]) if name == "pages" else stained[0]
        tifffile.imwrite(tmp_path / f"{name}.tiff", image, photometric="rgb", **options)
        assert not is_slide(tmp_path / f"{name}.tiff"), name
    (tmp_path / "broken.tif").write_bytes(made_slide.path.read_bytes()[:100])
    assert not is_slide(tmp_path / "broken.tif")
    assert not is_slide(tmp_path / "missing.tif")


def test_more_pixels_than_an_image_may_have(tmp_path: Path) -> None:
    # Empty tiles take no room.
    with tifffile.TiffWriter(tmp_path / "large.tif") as file:
        file.write(
            iter([b""] * 625), shape=(12_800, 12_800, 3), dtype=np.uint8, tile=(512, 512), photometric="rgb",
            compression="zlib",
        )  # fmt: skip
    assert is_slide(tmp_path / "large.tif")


def test_without_the_extra_a_tiff_is_an_image(made_slide: MadeSlide, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "tifffile":
            raise ImportError(name=name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert not is_slide(made_slide.path)
