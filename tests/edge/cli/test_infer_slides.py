"""`ssr-edge infer` on slides, with a real engine."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.images.preprocess import Image, decode, resize
from ssr_edge.runners.choose import open_runner

Run = Callable[..., Any]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def place(tmp_path: Path, demo_images: list[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; `in` has a slide of four images, an image, and a file that is not a slide."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a broken.svs").write_text("no slide")
    glass = np.full((2 * 460, 4 * 700, 3), 255, np.uint8)
    for number, image in enumerate(stained(demo_images)):
        glass[460 * (number % 2) :, 700 * number :][:460, :700] = image
    rgb = cv2.cvtColor(glass, cv2.COLOR_BGR2RGB)
    options: dict[str, Any] = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib"}
    with tifffile.TiffWriter(folder / "slide.tif") as file:
        file.write(rgb, subifds=1, resolution=(1e4 / 0.65, 1e4 / 0.65), resolutionunit="CENTIMETER", **options)
        file.write(rgb[::4, ::4], subfiletype=1, **options)
    shutil.copy(demo_images[0], folder / "z.jpg")
    return tmp_path


def stained(demo_images: list[Path]) -> list[Image]:
    chosen = [decode(path) for path in demo_images if "LC-14-16196" in path.name or "MC-14-13413" in path.name]
    assert [image.shape for image in chosen] == [(460, 700, 3)] * 4
    return chosen


def test_slides_and_images_in_one_folder(
    ssr_edge: Run, tiny_bundle: Bundle, place: Path, demo_images: list[Path]
) -> None:
    answer = ssr_edge("infer", "in", "--bundle", tiny_bundle.path, "--precision", "fp32", "--threads", 2)
    assert answer.code == 3
    images = [*stained(demo_images), decode(demo_images[0])]
    with open_runner(tiny_bundle, "onnxruntime", "fp32") as runner:
        # Reading order: the upper row has the first and the third image, the lower one the second and the fourth.
        expected = runner.infer(np.stack([resize(images[i]) for i in (0, 2, 1, 3, 4)])).probabilities
    found = rows(place / "predictions.csv")
    assert [(row["source"], row["frame"], row["x"], row["y"], row["width"], row["height"]) for row in found] == [
        ("in/slide.tif", "0", "0", "0", "700", "460"),
        ("in/slide.tif", "2", "1400", "0", "700", "460"),
        ("in/slide.tif", "5", "700", "460", "700", "460"),
        ("in/slide.tif", "7", "2100", "460", "700", "460"),
        ("in/z.jpg", "0", "", "", "", ""),
    ]
    for row, probabilities in zip(found, expected, strict=True):
        assert [float(row[f"p_{label}"]) for label in CLASSES] == pytest.approx(probabilities.tolist(), abs=2e-6)
    (failed,) = rows(place / "predictions.failed.csv")
    assert failed["source"] == "in/a broken.svs"
    assert "tiffslide" in failed["reason"]
    malignant = sum(float(row["malignant_probability"]) >= 0.5 for row in found[:4])
    (summary,) = [line for line in answer.err.splitlines() if line.startswith("in/slide.tif: ")]
    assert "4 of 8 tiles" in summary
    assert f"(50%), 4 classified, {malignant} malignant ({malignant / 4:.0%})" in summary
    assert summary.endswith("predictions.slide.heatmap.png")
    heat_map = cv2.imread("predictions.slide.heatmap.png")
    assert heat_map is not None and heat_map.shape == (673 + 110, 2048, 3)
    assert "Traceback" not in answer.err


def test_mpp_for_a_slide_and_a_scan_too_coarse_for_its_tiles(ssr_edge: Run, tiny_bundle: Bundle, place: Path) -> None:
    answer = ssr_edge("infer", "in/slide.tif", "--bundle", tiny_bundle.path, "--mpp", 2.6, "-o", "p.jsonl")
    assert answer.code == 0
    lines = [json.loads(line) for line in (place / "p.jsonl").read_text().splitlines()]
    assert {(line["width"], line["height"]) for line in lines} == {(175, 115)}
    assert all("upscaled" in line["flags"] for line in lines)
    assert "flagged upscaled" in answer.err
    assert (place / "p.slide.heatmap.png").exists()


def test_the_error_for_a_slide_without_mpp_names_the_option(
    ssr_edge: Run, tiny_bundle: Bundle, place: Path, demo_images: list[Path]
) -> None:
    image = cv2.cvtColor(stained(demo_images)[0], cv2.COLOR_BGR2RGB)
    tifffile.imwrite("in.svs", image, tile=(256, 256), photometric="rgb")
    answer = ssr_edge("infer", "in.svs", "--bundle", tiny_bundle.path)
    assert answer.code == 3
    (failed,) = rows(place / "predictions.failed.csv")
    assert failed["source"] == "in.svs"
    assert "--mpp" in failed["reason"]
    assert failed["reason"] in answer.err


def test_a_resumed_run_draws_the_whole_heat_map(ssr_edge: Run, tiny_bundle: Bundle, place: Path) -> None:
    asked = ("infer", "in", "--bundle", tiny_bundle.path, "--precision", "fp32")
    whole = ssr_edge(*asked)
    csv_file, heat_map = place / "predictions.csv", place / "predictions.slide.heatmap.png"
    unbroken, drawn = rows(csv_file), heat_map.read_bytes()
    heat_map.unlink()
    # As left by a run that was killed while writing the slide's third tile.
    lines = csv_file.read_text().splitlines(keepends=True)
    csv_file.write_text("".join(lines[:3]) + lines[3][:20])
    resumed = ssr_edge(*asked, "--resume")
    assert (whole.code, resumed.code) == (3, 3)
    for row in (again := rows(csv_file)) + unbroken:
        del row["latency_ms"]
    assert again == unbroken
    assert heat_map.read_bytes() == drawn
    assert "in/slide.tif: 4 of 8 tiles" in resumed.err
    assert "4 classified" in resumed.err
