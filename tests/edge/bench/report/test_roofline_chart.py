from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from ssr_edge.bench.profile.peaks import Peaks
from ssr_edge.bench.profile.roofline import Roofline
from ssr_edge.bench.report.bar_charts import share_chart
from ssr_edge.bench.report.roofline_chart import roofline_chart
from tests.edge.bench.profile.profiles import PEAKS, PROFILE, make_roofline


def _texts(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter("text")]


def _points(path: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.-]+),([\d.-]+)", path.get("d", ""))]


def _of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if element.get("class") == name]


def test_it_shows_blocks_roofs_and_the_one_number() -> None:
    root = ElementTree.fromstring(roofline_chart(make_roofline(), "openvino-int8", 2))
    # Blocks that compute, and their keys; what computes nothing has no place on a log scale.
    assert len(_of_class(root, "mark e2")) == 4
    assert len(_of_class(root, "ring")) == 2
    texts = _texts(root)
    assert {"int8 peak 160 G/s", "fp32 peak 80 G/s", "stem", "stages.0"} <= set(texts)
    assert "whole network: 2.39\N{MULTIPLICATION SIGN} its bound" in texts
    assert {"copies in cache, 50 GB/s", "copies in memory, 10 GB/s"} <= set(texts)
    label = root.get("aria-label", "")
    assert "35 multiply-adds per byte, 52.5 G/s, 2.4 times its bound" in label
    assert "stem 40 multiply-adds per byte, 25.0 G/s, 3.2 times its bound" in label


def test_marks_lie_where_their_figures_are() -> None:
    root = ElementTree.fromstring(roofline_chart(make_roofline(), "openvino-int8", 0))
    (memory,) = [path for path in _of_class(root, "roof memory") if path.tag.endswith("path")]
    start, ridge, end = _points(memory)
    # Up with the bytes to the ridge at 16 multiply-adds a byte, then level.
    assert start[0] < ridge[0] < end[0]
    assert start[1] > ridge[1] == end[1]
    (ring, _) = _of_class(root, "ring")
    # A third of the peak: below the roof, and right of the ridge.
    assert float(ring.get("cy", 0)) > ridge[1]
    assert float(ring.get("cx", 0)) > ridge[0]


@pytest.mark.parametrize("copy", [1e6, 1e9, 1e10, 1e12, 1e15])
def test_a_slope_outside_the_plot_draws_what_is_inside(copy: float) -> None:
    found = replace(make_roofline(), peaks=Peaks(PEAKS.multiply_adds_per_s, copy, 50e9))
    root = ElementTree.fromstring(roofline_chart(found, "openvino-int8", 0))
    _, _, width, height = map(float, root.get("viewBox", "").split())
    for path in (*_of_class(root, "roof"), *_of_class(root, "roof memory")):
        assert all(0 <= x <= width and 0 <= y <= height for x, y in _points(path))


def test_what_took_no_time_has_no_mark_and_a_foreign_network_has_one() -> None:
    blocks = make_roofline().blocks
    found = replace(make_roofline(), blocks=[replace(blocks[1], measured_ms=0.0), replace(blocks[2], block="other")])
    root = ElementTree.fromstring(roofline_chart(found, "openvino-int8", 0))
    assert len(_of_class(root, "mark e0")) == 2
    assert "other" in _texts(root) and "stem" not in _texts(root)


def test_where_the_cpu_has_no_int8_its_roof_is_that_of_fp32() -> None:
    found = replace(make_roofline(), peaks=Peaks({"fp32": 80e9}, 10e9, 50e9))
    root = ElementTree.fromstring(roofline_chart(found, "openvino-int8", 0))
    assert [text for text in _texts(root) if "peak" in text] == ["fp32 peak 80 G/s"]


def test_an_fp32_engine_has_its_own_roof_alone() -> None:
    root = ElementTree.fromstring(roofline_chart(make_roofline(), "openvino-fp32", 0))
    assert "fp32 peak 80 G/s" in _texts(root)
    assert not _of_class(root, "roof lower")


@pytest.mark.parametrize(
    ("given", "bounds", "stem"), [(make_roofline(), 3, "40.0% (3.20 ms)"), (None, 0, "40.0% (4.00 ms)")]
)
def test_shares_are_bars_with_their_bounds(given: Roofline | None, bounds: int, stem: str) -> None:
    root = ElementTree.fromstring(share_chart(PROFILE, "openvino-int8", 1, given))
    widths = [float(bar.get("width", 0)) for bar in _of_class(root, "bar e1")]
    assert len(widths) == 4
    # 5, 40, 50 and 5 percent.
    assert [width / max(widths) for width in widths] == pytest.approx([0.1, 0.8, 1.0, 0.1], abs=0.01)
    assert len(_of_class(root, "bound")) == bounds
    assert stem in _texts(root)
    assert "stages.0.blocks.0 50.0%" in root.get("aria-label", "")
