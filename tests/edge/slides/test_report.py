"""Reports of slides over a run, with made-up results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssr_edge.common.errors import InputError, UsageError
from ssr_edge.inference.pipeline import Failure
from ssr_edge.inference.prediction import Prediction, decide
from ssr_edge.slides.report import SlideReports
from ssr_edge.sources.inputs import Input, still
from tests.edge.slides.made_slides import COLUMNS, HEIGHT, PLACES, ROWS, WIDTH, MadeSlide, write_slide


def result(item: Input, label: int = 0) -> Prediction | Failure:
    probabilities = np.eye(8, dtype=np.float32)[label]
    return decide(item.source, (460, 700, 3), probabilities, 100, 1.0, frame=item.frame, region=item.region)


def test_the_heat_map_and_the_summary_come_with_the_last_result(tmp_path: Path, made_slide: MadeSlide) -> None:
    reports = SlideReports(100, None, tmp_path / "out" / "p.csv")
    inputs = [still(Path("a.png")), *reports.tiles_of(made_slide.path), still(Path("b.png"))]
    assert [item.frame for item in inputs] == [0, *PLACES, 0]
    heat_map = tmp_path / "out" / "p.slide.heatmap.png"
    for number, item in enumerate(inputs[:-2]):
        reports.add(result(item, label=7 if number == 2 else 0))
    assert not heat_map.exists() and reports.summaries == []
    reports.add(Failure(str(made_slide.path), "tile at x 1, y 2: damaged"))
    assert heat_map.read_bytes().startswith(b"\x89PNG")
    reports.add(result(inputs[-1]))
    (summary,) = reports.summaries
    assert summary.startswith(f"{made_slide.path}: 6 of 20 tiles")
    assert "(30%), 5 classified, 1 malignant (20%)" in summary
    assert summary.endswith(str(heat_map))


def test_the_same_slide_twice_and_two_of_one_name(tmp_path: Path, made_slide: MadeSlide) -> None:
    reports = SlideReports(100, None, tmp_path / "p.csv")
    other = tmp_path / "other" / "slide.tif"
    other.parent.mkdir()
    other.write_bytes(made_slide.path.read_bytes())
    for item in [tile for path in (made_slide.path, made_slide.path, other) for tile in reports.tiles_of(path)]:
        reports.add(result(item))
    assert [summary.split(" -> ")[1] for summary in reports.summaries] == [
        str(tmp_path / f"p.slide{number}.heatmap.png") for number in ("", "-2", "-3")
    ]


def bare_slide(path: Path) -> Path:
    return write_slide(path, np.full((ROWS * HEIGHT, COLUMNS * WIDTH, 3), 255, np.uint8))


def test_an_empty_slide_has_a_heat_map_too(tmp_path: Path) -> None:
    path = bare_slide(tmp_path / "bare.tif")
    reports = SlideReports(100, None, tmp_path / "p.csv")
    assert list(reports.tiles_of(path)) == []
    heat_map = tmp_path / "p.bare.heatmap.png"
    (summary,) = reports.summaries
    assert summary.startswith(f"{path}: 0 of 20 tiles")
    assert "(0%), 0 classified" in summary
    assert "malignant" not in summary
    assert heat_map.exists()


def test_a_heat_map_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    reports = SlideReports(100, None, tmp_path / "file" / "p.csv")
    with pytest.raises(UsageError) as error:
        list(reports.tiles_of(bare_slide(tmp_path / "bare.tif")))
    assert str(tmp_path / "file" / "p.bare.heatmap.png") in error.value.found
    assert "-o" in error.value.next_step


@pytest.mark.parametrize("magnification", [100, None])
def test_a_slide_that_can_not_be_cut_fails_as_one(
    tmp_path: Path, made_slide: MadeSlide, magnification: int | None
) -> None:
    broken = tmp_path / "broken.svs"
    broken.write_text("no slide")
    reports = SlideReports(magnification, None, tmp_path / "p.csv")
    (tile,) = reports.tiles_of(broken if magnification else made_slide.path)
    with pytest.raises(InputError) as error:
        tile.read()
    assert str(broken if magnification else made_slide.path) in error.value.found
    assert ("tiffslide" if magnification else "magnification") in error.value.found
    reports.add(Failure(str(tile.source), "it"))
    assert reports.summaries == []
