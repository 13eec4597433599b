from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import Manifest

Run = Callable[..., Any]


def test_the_newest_bundle_is_summarized(
    ssr_edge: Run, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_bundle.path, "bundles/mine")
    answer = ssr_edge("inspect")
    assert answer.code == 0
    assert "bundles/mine" in answer.out and "ssresnext14_8x4d: 0.63 M parameters" in answer.out


def test_json_is_the_manifest(ssr_edge: Run, tiny_bundle: Bundle, tmp_path: Path) -> None:
    answer = ssr_edge("inspect", tiny_bundle.path, "--json", "-")
    assert Manifest.model_validate_json(answer.out) == tiny_bundle.manifest
    answer = ssr_edge("inspect", tiny_bundle.path, "--json", tmp_path / "m.json")
    assert f"{len(tiny_bundle.manifest.files)} files, all hashes" in answer.out
    assert json.loads((tmp_path / "m.json").read_text())["name"] == "ssresnext14_8x4d"


def test_ranges_are_printed_as_tensorrts_calibration_cache(ssr_edge: Run, tiny_bundle: Bundle) -> None:
    answer = ssr_edge("inspect", tiny_bundle.path, "--tensorrt-cache", "10.3.0")
    ranges = json.loads(tiny_bundle.file("calibration.json").read_text())["ranges"]
    header, *lines = answer.out.splitlines()
    assert header == "TRT-100300-EntropyCalibration2"
    assert [line.rsplit(": ", 1)[0] for line in lines] == list(ranges)
    refused = ssr_edge("inspect", tiny_bundle.path, "--tensorrt-cache", "11.4.1")
    assert refused.code == 2
    assert "TensorRT 11.4.1" in refused.err


def test_a_changed_bundle_is_refused(ssr_edge: Run, tiny_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "copy")
    (tmp_path / "copy" / "model.int8.onnx").write_bytes(b"")
    answer = ssr_edge("inspect", tmp_path / "copy")
    assert answer.code == 1
    assert "model.int8.onnx" in answer.err
    assert "expected: SHA-256" in answer.err
    assert "next: ssr-edge build-engine" in answer.err


def test_a_file_that_can_not_be_written_is_named(ssr_edge: Run, tiny_bundle: Bundle, tmp_path: Path) -> None:
    answer = ssr_edge("inspect", tiny_bundle.path, "--json", tmp_path / "no" / "m.json")
    assert answer.code == 2
    assert f"{tmp_path}/no/m.json" in answer.err
    assert "No such file or directory\n" in answer.err
