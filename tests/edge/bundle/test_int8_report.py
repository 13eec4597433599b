"""`inspect --quantization`: the tables, worst first, and the plots, for current and older bundles."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.bundle.bundle import Bundle, write_manifest
from ssr_edge.bundle.histograms import HISTOGRAMS, read_histogram
from ssr_edge.bundle.int8_report import worst_first
from ssr_edge.bundle.manifest import Manifest
from ssr_edge.common.errors import BundleError


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def copy(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle to spoil."""
    shutil.copytree(tiny_bundle.path, tmp_path / "bundle")
    return Bundle.open(tmp_path / "bundle")


@pytest.fixture
def old(copy: Bundle) -> Bundle:
    """A bundle as it was written before quantization was measured."""
    (copy.path / HISTOGRAMS).unlink()
    write_manifest(copy.path, copy.manifest)
    fields = json.loads((copy.path / "manifest.json").read_bytes())
    del fields["quantization"]
    (copy.path / "manifest.json").write_text(json.dumps(fields))
    return Bundle.open(copy.path)


def test_the_report_survives_json(tiny_bundle: Bundle) -> None:
    manifest = tiny_bundle.manifest
    assert manifest.quantization is not None
    assert Manifest.model_validate_json(manifest.model_dump_json()).quantization == manifest.quantization
    assert len(manifest.quantization.blocks) == 5
    assert manifest.quantization.images == 15


def test_worst_block_first(tiny_bundle: Bundle) -> None:
    manifest = tiny_bundle.manifest.model_copy(deep=True)
    report = manifest.quantization
    assert report is not None
    report.blocks[2].both.sqnr_db, report.blocks[4].both.sqnr_db = 3.21, 99.87
    order = [block.block for block in worst_first(report)]
    assert (order[0], order[-1]) == (report.blocks[2].block, report.blocks[4].block)
    assert sorted(order) == sorted(block.block for block in report.blocks)


def test_the_tables_hold_the_manifests_figures_worst_first(tiny_bundle: Bundle, ssr_edge: Callable[..., Any]) -> None:
    answer = ssr_edge("inspect", tiny_bundle.path, "--quantization")
    report = tiny_bundle.manifest.quantization
    assert report is not None
    assert answer.code == 0
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in answer.out.splitlines() if "│" in line]
    blocks = [row for row in rows if row[0] in {block.block for block in report.blocks}]
    assert [row[0] for row in blocks] == [block.block for block in worst_first(report)]
    both = [float(row[5]) for row in blocks]
    assert both == sorted(both)
    assert both == [round(block.both.sqnr_db, 1) for block in worst_first(report)]
    logits = next(row for row in rows if row[0].startswith("logits"))
    assert float(logits[5]) == round(report.logits.both.sqnr_db, 1)
    by_name = {row[0]: row for row in rows}
    for tensor in report.tensors:
        assert int(by_name[tensor.name][4].replace(",", "")) == tensor.clipped
        assert float(by_name[tensor.name][2]) == pytest.approx(tensor.largest, rel=5e-3)


@pytest.mark.parametrize("tensor", [None, "stem.input", "stages.1.blocks.0.conv3.weight"])
def test_plots_are_written_beside_the_table(
    tiny_bundle: Bundle, tmp_path: Path, ssr_edge: Callable[..., Any], tensor: str | None
) -> None:
    pytest.importorskip("matplotlib")
    wanted = ("--tensor", tensor) if tensor else ()
    answer = ssr_edge("inspect", tiny_bundle.path, "--quantization", "--plot", tmp_path / "plot.svg", *wanted)
    assert (answer.code, answer.err) == (0, "")
    assert "INT8 error by block" in answer.out
    assert (tmp_path / "plot.svg").stat().st_size > 5_000


def test_what_makes_no_sense_together_is_refused(tiny_bundle: Bundle, ssr_edge: Callable[..., Any]) -> None:
    for arguments, found in (
        (("--plot", "a.png"), "--quantization --plot FILE"),
        (("--quantization", "--tensor", "stem.input"), "--tensor NAME --plot FILE"),
        (("--quantization", "--plot", "a.png", "--tensor", "stem.inputs"), "'stem.inputs'"),
    ):
        answer = ssr_edge("inspect", tiny_bundle.path, *arguments)
        assert answer.code == 2
        assert found in answer.err
    assert "stem.input," in answer.err  # the most similar name


def test_a_bundle_without_a_report_loads_and_the_report_is_refused(old: Bundle, ssr_edge: Callable[..., Any]) -> None:
    assert old.manifest.quantization is None
    assert ssr_edge("inspect", old.path).code == 0
    answer = ssr_edge("inspect", old.path, "--quantization")
    assert answer.code == 1
    assert str(old.path) in answer.err
    assert "build-engine" in answer.err


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"tensors": {"stem.input": {"limit": 0, "counts": [1]}}}', '{"tensors": {}}']
)
def test_damaged_histograms_are_refused(copy: Bundle, damage: str) -> None:
    (copy.path / HISTOGRAMS).write_text(damage)
    with pytest.raises(BundleError) as changed:
        read_histogram(copy, "stem.input")
    assert "SHA-256" in changed.value.expected
    # Also when the manifest lists the damaged file.
    write_manifest(copy.path, copy.manifest)
    with pytest.raises(BundleError) as damaged:
        read_histogram(Bundle.open(copy.path), "stem.input")
    assert HISTOGRAMS in damaged.value.found
    assert "SHA-256" not in damaged.value.expected
