"""Opens the report in a real browser: nothing leaves the page, and nothing sticks out of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.bench.measure.schedule import Scenario, Task
from ssr_edge.bench.report.html import render
from ssr_edge.bench.report.schema import Reason
from ssr_edge.evaluation.accuracy import Predicted
from tests.edge.bench.report.reports import make_run, with_everything, with_fields, with_labels

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(_CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
]

# What the browser asks for by itself: clock, updates, dictionaries.
_BROWSERS_OWN = re.compile(r"https?://([\w-]+\.)*(google|googleapis|gvt1)\.com/")
_WIDTHS = (1280, 400)
# For each width: how far the page sticks out, which words of its drawings lie outside or on others, which boxes scroll.
_MEASURE = """
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument;
    const clipped = [...page.querySelectorAll("svg.chart text")].filter((text) => {
      const inner = text.getBoundingClientRect(), outer = text.ownerSVGElement.getBoundingClientRect();
      return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.bottom > outer.bottom + 1;
    });
    const overlapping = [...page.querySelectorAll("svg.chart")].flatMap((drawing) => {
      const texts = [...drawing.querySelectorAll("text")].map((t) => [t.textContent, t.getBoundingClientRect()]);
      return texts.flatMap(([one, a], number) => texts.slice(number + 1).filter(([, b]) =>
        a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4,
      ).map(([other]) => `${one} on ${other}`));
    });
    return {
      overlapping,
      width: frame.contentWindow.innerWidth,
      scrollWidth: page.scrollingElement.scrollWidth,
      clipped: clipped.map((text) => text.textContent),
      scrolling: [...page.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth).length,
      smallest: Math.min(...[...page.querySelectorAll("svg.chart text")].map((t) => t.getBoundingClientRect().height)),
      marks: page.querySelectorAll("svg.chart .mark").length,
    };
  });
  document.body.innerHTML = `<pre>${JSON.stringify(found)}</pre>`;
});
"""


def _chromium(folder: Path, page: Path, *options: str) -> str:
    """The page's elements after it was loaded. No host can be reached."""
    command = [
        *(str(_CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *(f"--user-data-dir={folder / 'profile'}", "--proxy-server=127.0.0.1:9", "--proxy-bypass-list=<-loopback>"),
        *("--disable-background-networking", "--no-first-run", *options, "--dump-dom", page.as_uri()),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.fixture(scope="module")
def report_html(demo_images: list[Path]) -> str:
    """A report with seven engines, every section, figures with many digits and words without a break."""
    names = [
        *("torch-fp32", "openvino-fp32", "openvino-bf16", "openvino-int8", "onnxruntime-int8"),
        *("tensorrt-rtx-fp16", "tensorrt-rtx-int8"),
    ]
    scenarios: list[tuple[Scenario, int]] = [
        ("single-stream", 1),
        ("multi-stream", 8),
        ("offline", 128),
        ("end-to-end", 8),
    ]
    times = {
        Task(name, scenario, batch): [[ms * batch * f, ms * batch * f * 1.3] for f in (1.0, 0.9, 1.4, 1.1)]
        for name, ms in zip(names, (24317.0, 650.1, 390.2, 271.3, 301.4, 30.5, 9.7), strict=True)
        for scenario, batch in scenarios
    }
    truth: list[int | None] = [number % 8 for number in range(len(demo_images))]
    wrong = Predicted([(label or 0) * 3 % 8 for label in truth], [0.99] * len(truth))
    run = with_labels(make_run(times, others_share=0.37), demo_images, truth, dict.fromkeys(names, wrong))
    bench = with_everything(run.bench, names)
    # No space, no hyphen: nowhere that a browser would break a line by itself.
    endless = "/data/" + "deeply_nested_folder_" * 20
    return render(
        with_fields(
            replace(run, bench=bench),
            images=bench.images.model_copy(update={"folder": endless}),
            command=endless,
            notes=[endless],
            failures=[Reason(engine="tensorrt-int8", reason=endless)],
            bundle=bench.bundle.model_copy(update={"name": endless}),
            engines={name: found.model_copy(update={"origin": endless}) for name, found in bench.engines.items()},
            energy=[],
            no_meters=[endless],
        )
    )


def _requests(folder: Path, page: Path) -> set[str]:
    """The addresses that a page makes the browser ask for."""
    log = folder / "net.json"
    _chromium(folder, page, f"--log-net-log={log}")
    asked = set(re.findall(r'"url":"((?:http|ws|ftp)[^"]*)"', log.read_text(errors="replace")))
    return {address for address in asked if not _BROWSERS_OWN.match(address)}


def test_no_request_leaves_the_page(tmp_path: Path, report_html: str) -> None:
    leaking = tmp_path / "leaking.html"
    leaking.write_text('<!DOCTYPE html><img src="http://leak.example/a.png">')
    assert _requests(tmp_path, leaking) == {"http://leak.example/a.png"}
    page = tmp_path / "report.html"
    page.write_text(report_html, encoding="utf-8")
    assert _requests(tmp_path, page) == set()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, report_html: str) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("browser")
    frames = "".join(
        f'<iframe style="border:0;height:900px;width:{width}px" srcdoc="{escape(report_html)}"></iframe>'
        for width in _WIDTHS
    )
    page = folder / "wrapper.html"
    page.write_text(f"<!DOCTYPE html><meta charset=utf-8><body><script>{_MEASURE}</script>{frames}", encoding="utf-8")
    found = re.search(r"<pre>(.*)</pre>", _chromium(folder, page, "--window-size=1400,1000"))
    assert found is not None
    widths: list[dict[str, Any]] = json.loads(found[1].replace("&gt;", ">").replace("&lt;", "<"))
    return widths


def test_nothing_sticks_out_on_a_screen_or_a_phone(measured: list[dict[str, Any]]) -> None:
    for width, found in zip(_WIDTHS, measured, strict=True):
        assert found["width"] == width
        assert found["marks"] > 30
        assert found["scrollWidth"] <= width
        assert found["clipped"] == found["overlapping"] == []
        assert found["smallest"] >= 11


def test_no_table_has_to_be_scrolled_on_a_screen(measured: list[dict[str, Any]]) -> None:
    assert measured[0]["scrolling"] == 0
