"""Fixtures of the tests of slides."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssr_edge.images.preprocess import Image, decode
from tests.edge.slides.made_slides import HEIGHT, PLACES, WIDTH, MadeSlide, make_slide


@pytest.fixture(scope="session")
def stained(demo_images: list[Path]) -> list[Image]:
    """Six images with strong dyes, uint8 [460, 700, 3], BGR."""
    names = ("DC-14-13412", "LC-14-16196", "MC-14-13413", "PC-14-19440-100-008")
    images = [decode(path) for path in demo_images if any(name in path.name for name in names)]
    assert [image.shape for image in images] == [(HEIGHT, WIDTH, 3)] * len(PLACES)
    return images


@pytest.fixture(scope="session")
def made_slide(tmp_path_factory: pytest.TempPathFactory, stained: list[Image]) -> MadeSlide:
    """20 tiles at 100X, six of them with tissue. Do not modify it."""
    return make_slide(tmp_path_factory.mktemp("slides") / "slide.tif", stained)
