from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.report.build import BenchRun
from ssr_edge.bench.report.charts import macro_f1_interval
from ssr_edge.bench.report.html import render, write_html
from ssr_edge.bench.report.schema import Reason
from ssr_edge.bench.report.summary import accuracy_cost, headline
from ssr_edge.common.errors import UsageError
from ssr_edge.common.text import printable
from ssr_edge.evaluation.accuracy import Predicted
from tests.edge.bench.report.reports import INT8, TORCH, make_run, with_everything, with_fields, with_labels

_TIMES = {
    TORCH: [[60.0, 62.0], [61.0, 60.0]],
    INT8: [[10.0, 10.5], [10.2, 9.9]],
    Task("torch-fp32", "end-to-end", 8): [[66.0], [67.0]],
    Task("openvino-int8", "end-to-end", 8): [[14.0], [15.0]],
}
_EMPTY = {"meta", "link", "img", "br", "path", "line", "rect"}
# Attributes by which a page can make a browser fetch something.
_FETCHING = {"src", "srcset", "href", "xlink:href", "data", "poster", "background", "action", "formaction", "ping"}


class Page(HTMLParser):
    """Text, elements and attributes of a page; refuses tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def labeled(demo_images: list[Path]) -> BenchRun:
    """Four demo images, one of which INT8 gets wrong."""
    truth: list[int | None] = [0, 0, 0, 1]
    predictions = {
        "torch-fp32": Predicted([0, 0, 0, 1], [0.9] * 4),
        "openvino-int8": Predicted([0, 7, 0, 1], [0.9, 0.87, 0.9, 0.9]),
    }
    return with_labels(make_run(_TIMES), demo_images[:4], truth, predictions)


def test_the_page_is_complete(labeled: BenchRun) -> None:
    page = Page(render(labeled))
    words = " ".join(page.text.split())
    for expected in (
        headline(labeled.bench),
        accuracy_cost(labeled.bench),
        "onnxruntime-int8 failed: its process ended with Aborted",
        "no NVIDIA GPU",
        "Note: a note",
        "1.0% of the processor",
        "Includes copies to and from the device and normalization",
        "ssr-edge bench images --seed 0",
        "PC instead of A, 87%",
        labeled.images.paths[1].name,
        "BreaKHis (Spanhol, Oliveira, Petitjean and Heutte 2016), CC BY 4.0",
        labeled.bench.environment.cpu,
        "Decision support for research, not a medical device.",
    ):
        assert expected is not None and expected in words
    assert "Not reliable" not in words
    assert len(page.all("img")) == 1
    # Speedups, speed versus accuracy, and a latency chart for each scenario.
    assert sum("aria-label" in attributes for attributes in page.all("svg")) == 4


def test_it_is_accessible_to_screen_readers(labeled: BenchRun) -> None:
    page = Page(render(labeled))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("title")) == len(page.all("h1")) == len(page.all("main")) == 1
    assert all(image["alt"] for image in page.all("img"))
    assert all(drawing.get("aria-label") or drawing.get("aria-hidden") == "true" for drawing in page.all("svg"))
    assert page.all("th") and all(heading.get("scope") for heading in page.all("th"))
    assert page.all("table") and all(table["aria-labelledby"] for table in page.all("table"))
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    assert {attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes} <= set(
        names
    )


def _references(html: str) -> Iterator[str]:
    for _, attributes in Page(html).elements:
        yield from (value or "" for name, value in attributes.items() if name in _FETCHING)
    yield from re.findall(r"url\(\s*['\"]?([^)'\"]*)|@import\s+(\S+)", html)


def test_nothing_is_fetched_from_elsewhere(labeled: BenchRun) -> None:
    html = render(labeled)
    references = list(_references(html))
    assert len(references) == 1
    assert references[0].startswith("data:image/jpeg;base64,")
    page = Page(html)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form", "video", "audio"} & {
        tag for tag, _ in page.elements
    }
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    (policy,) = (meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)<%2Fscript>.png",
        '"><img src=x onerror=alert(1)>.png',
        "' onload='alert(1).png",
        "{{ 7 * 7 }}{% raw %}.png",
        "&lt;b&gt;.png",
        "<!--.png",
        os.fsdecode(b"not utf-8 \xff.png"),
        "\N{RIGHT-TO-LEFT OVERRIDE}gnp.png",
    ],
)
def test_hostile_file_names_are_words_like_others(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert cv2.imwrite(str(tmp_path / "plain.png"), np.zeros((20, 30, 3), np.uint8))
    (tmp_path / "plain.png").rename(path)
    predictions = {"torch-fp32": Predicted([1], [0.9]), "openvino-int8": Predicted([1], [0.9])}
    run = _in_folder(with_labels(make_run(_TIMES), [path], [0], predictions), printable(tmp_path / name))
    write_html(run, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert printable(name) in page.text
    assert [image["src"] for image in page.all("img")] == list(_references(html))
    assert page.all("script") == []
    plain = {tag for tag, _ in Page(render(_in_folder(run, "x"))).elements}
    assert {tag for tag, _ in page.elements} == plain
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)


def _in_folder(run: BenchRun, folder: str) -> BenchRun:
    return with_fields(run, images=run.bench.images.model_copy(update={"folder": folder}))


def test_hostile_words_of_an_engine_or_a_bundle_are_escaped(labeled: BenchRun) -> None:
    hostile = "</style></svg><script>alert(1)</script>"
    run = with_fields(
        labeled,
        notes=[hostile],
        failures=[Reason(engine=hostile, reason=hostile)],
        not_run=[Reason(engine=hostile, reason=hostile)],
        command=hostile,
        bundle=labeled.bench.bundle.model_copy(update={"name": hostile}),
        environment=labeled.bench.environment.model_copy(update={"cpu": hostile, "board": hostile}),
    )
    html = render(run)
    assert "<script" not in html
    assert Page(html).text.count(hostile) == 12


def test_a_disturbed_run_is_marked_at_the_top() -> None:
    words = " ".join(Page(render(make_run(_TIMES, others_share=0.37))).text.split())
    place = words.index("Not reliable: other programs used 37% of the processor")
    assert place < words.index("Summary")


def test_what_is_not_known_is_left_out(demo_images: list[Path]) -> None:
    bare = make_run({INT8: [[10.0]]}, others_share=None)
    words = Page(render(bare)).text
    assert "Accuracy" not in words and "speedup" not in words
    assert "Load average" in words and "% of the processor" not in words
    unlabeled = with_labels(make_run(_TIMES), demo_images[:1], [None], {"openvino-int8": Predicted([1], [0.9])})
    words = Page(render(unlabeled)).text
    assert "Accuracy" in words and "Confusion" not in words


def test_an_engine_that_failed_after_it_was_evaluated_keeps_its_labels(labeled: BenchRun) -> None:
    predictions = dict(labeled.predictions) | {"openvino-bf16": Predicted([0, 0, 0, 1], [0.9] * 4)}
    died = with_labels(labeled, labeled.images.paths, labeled.images.truth, predictions)
    died = with_fields(died, failures=[Reason(engine="openvino-bf16", reason="its process ended with Killed")])
    assert Page(render(died)).text.count("openvino-bf16") == 4


def test_the_optional_sections_have_their_figures(labeled: BenchRun) -> None:
    run = replace(labeled, bench=with_everything(labeled.bench, ("torch-fp32", "openvino-int8")))
    rows = [" ".join(row.split()) for row in re.findall(r"<tr>(.*?)</tr>", render(run), re.DOTALL)]
    rows = [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in rows]
    # Live: dropped, p50, p95, p99. Vendor tool: ours, the tool's, ratio. Energy: mJ by meter.
    assert "openvino-int8 12000 of 12345 1234 3457 4568" in [row.replace("1234.5", "1234") for row in rows]
    assert "openvino-int8 1234 1230 1.100 [1.000, 1.200]" in rows
    assert "openvino-int8 single-stream 250.0 –" in rows
    assert "openvino-int8 offline, batch 8 – 1500" in rows


def test_without_mistakes_there_are_no_thumbnails(labeled: BenchRun) -> None:
    right = with_labels(labeled, labeled.images.paths, [0, 7, 0, 1], labeled.predictions)
    page = Page(render(right))
    assert "all 4 images are classified correctly" in page.text
    assert page.all("img") == []


def test_a_page_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as caught:
        write_html(make_run(_TIMES), tmp_path / "file" / "report.html")
    assert "report.html" in caught.value.found
    assert "--html" in caught.value.next_step


def test_interval_of_macro_f1_is_wide_where_images_are_few() -> None:
    few, many = ([[size * 9, size * 1], [size * 2, size * 8]] for size in (1, 100))
    confusions = [np.pad(np.array(c), ((0, 6), (0, 6))).tolist() for c in (few, many)]
    (few_low, few_high), (low, high) = (macro_f1_interval(confusion, seed=0) for confusion in confusions)
    # Macro-F1 is 0.849 both times; of 2,000 images its standard error is about 0.008.
    assert few_low < low < 0.849 < high < few_high
    assert 0.02 < high - low < 0.05
    assert few_high - few_low > 0.2


def _luminance(color: str) -> float:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_colors_have_enough_contrast_in_both_schemes() -> None:
    """Web Content Accessibility Guidelines 2.2, level AA: 4.5 for text, 3 for drawings."""
    css = files("ssr_edge.bench.report").joinpath("templates").joinpath("report.css").read_text()
    schemes = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in css.split("@media")[:2]]
    assert len(schemes) == 2
    for colors in schemes:
        for words in ("ink", "soft"):
            assert _contrast(colors[words], colors["paper"]) >= 4.5
            assert _contrast(colors[words], colors["card"]) >= 4.5
        assert _contrast(colors["warn-ink"], colors["warn-paper"]) >= 4.5
        for engine in range(8):
            assert _contrast(colors[f"e{engine}"], colors["paper"]) >= 3


def test_what_infer_imports_has_no_template_engine() -> None:
    code = (
        "import sys, ssr_edge.inference.pipeline, ssr_edge.results, ssr_edge.cli.infer, ssr_edge.bench.command;"
        "print([m for m in ('jinja2', 'markupsafe', 'matplotlib', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
