"""Hostile and damaged files: each is listed with its reason, and the run continues."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.images import preprocess
from tests.edge.image_files import broken_images, encoded

Run = Callable[..., Any]


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, relative to the run's working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    return Path("images")


def rows(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_every_broken_file_is_named_with_its_reason(
    ssr_edge: Run, tiny_bundle: Bundle, images: Path, demo_images: list[Path]
) -> None:
    reasons = broken_images(images, demo_images[0])
    awkward = [b"good\nline, comma.jpg", b"good \xe9.jpg"]
    for name in awkward:
        shutil.copy(demo_images[0], os.fsdecode(b"images/" + name))
    answer = ssr_edge("infer", "images", "--bundle", tiny_bundle.path)
    assert answer.code == 3
    listed = {os.fsencode(row["source"]): row["reason"] for row in rows("predictions.failed.csv")}
    assert set(listed) == {b"images/" + name for name in reasons}
    for name, reason in reasons.items():
        assert reason in listed[b"images/" + name]
    assert {os.fsencode(row["source"]) for row in rows("predictions.csv")} == {b"images/" + name for name in awkward}
    assert f"{len(reasons)} failed" in answer.err
    assert "predictions.failed.csv" in answer.err
    assert "Traceback" not in answer.err


def test_a_file_without_permission_is_listed_and_the_run_continues(
    ssr_edge: Run, tiny_bundle: Bundle, images: Path, demo_images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        shutil.copy(demo_images[0], images / name)
    (images / "b.jpg").chmod(0)
    if os.geteuid() == 0:  # root may read everything, so the refusal is simulated
        read = np.fromfile

        def refusing(path: Path, **options: Any) -> np.ndarray:
            if path.name == "b.jpg":
                raise PermissionError(13, "Permission denied")
            return read(path, **options)

        monkeypatch.setattr("ssr_edge.images.preprocess.np.fromfile", refusing)
    assert ssr_edge("infer", "images", "--bundle", tiny_bundle.path).code == 3
    assert rows("predictions.failed.csv") == [{"source": "images/b.jpg", "reason": "permission denied"}]
    assert [row["source"] for row in rows("predictions.csv")] == ["images/a.jpg", "images/c.jpg"]


def test_other_depths_and_channels_are_classified_as_their_8_bit_rgb_form(
    ssr_edge: Run, tiny_bundle: Bundle, images: Path, demo_images: list[Path]
) -> None:
    """16-bit: the upper byte. Gray: three equal channels. Alpha: dropped."""
    bgr = preprocess.decode(demo_images[0])
    gray, low = bgr[..., 1], np.random.default_rng(0).integers(0, 256, bgr.shape, dtype=np.uint16)
    forms = {
        "wide": (bgr.astype(np.uint16) << 8 | low, bgr),
        "wide gray": (gray.astype(np.uint16) << 8 | low[..., 0], np.dstack([gray] * 3)),
        "gray": (gray, np.dstack([gray] * 3)),
        "alpha": (np.dstack([bgr, gray]), bgr),
    }
    for name, (form, rgb) in forms.items():
        (images / f"{name} a.png").write_bytes(encoded(".png", form))
        (images / f"{name} b.png").write_bytes(encoded(".png", rgb))
    assert ssr_edge("infer", "images", "--bundle", tiny_bundle.path).code == 0
    found = {row.pop("source"): row for row in rows("predictions.csv")}
    for row in found.values():
        del row["latency_ms"]
    for name in forms:
        assert found[f"images/{name} a.png"] == found[f"images/{name} b.png"]
    assert found["images/gray a.png"] != found["images/wide a.png"]


def test_cmyk_is_classified_as_its_rgb_form(
    ssr_edge: Run, tiny_bundle: Bundle, images: Path, demo_images: list[Path]
) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow writes what OpenCV can't: CMYK")
    with pillow.open(demo_images[0]) as image:
        image.convert("CMYK").save(images / "cmyk.jpg", quality=95)
    with pillow.open(images / "cmyk.jpg") as image:
        assert image.mode == "CMYK"
        image.convert("RGB").save(images / "rgb.png")
    pixels = [preprocess.decode(images / name).astype(int) for name in ("cmyk.jpg", "rgb.png")]
    assert np.abs(pixels[0] - pixels[1]).max() <= 1  # the two libraries round differently
    assert ssr_edge("infer", "images", "--bundle", tiny_bundle.path, "--precision", "fp32").code == 0
    cmyk, rgb = rows("predictions.csv")
    assert cmyk["label"] == rgb["label"]
    assert float(cmyk["confidence"]) == pytest.approx(float(rgb["confidence"]), abs=0.02)
