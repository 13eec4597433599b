from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from ssr_edge import __version__
from ssr_edge.common.install_hint import install_hint

Run = Callable[..., Any]


def test_json_on_stdout_is_all_of_stdout(ssr_edge: Run) -> None:
    answer = ssr_edge("doctor", "--json", "-")
    assert answer.code == 0
    report = json.loads(answer.out)
    assert report["ssr_edge"] == __version__
    assert {part["package"]: part["version"] for part in report["parts"]}["openvino"] == version("openvino")


def test_json_in_a_file_leaves_the_table_on_stdout(ssr_edge: Run, tmp_path: Path) -> None:
    answer = ssr_edge("doctor", "--json", tmp_path / "doctor.json")
    assert answer.code == 0
    assert "openvino" in answer.out
    assert json.loads((tmp_path / "doctor.json").read_text())["parts"]


def test_a_file_that_can_not_be_written_is_named(ssr_edge: Run, tmp_path: Path) -> None:
    answer = ssr_edge("doctor", "--json", tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert "can't be written: Is a directory" in answer.err


def test_a_runtime_that_can_run_is_no_news(ssr_edge: Run) -> None:
    answer = ssr_edge("doctor", "--runtime", "openvino")
    assert (answer.code, answer.err) == (0, "")


def test_a_runtime_that_can_not_run_ends_with_1_and_what_adds_it(
    ssr_edge: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    answer = ssr_edge("doctor", "--runtime", "tensorrt")
    assert answer.code == 1
    assert "openvino" in answer.out
    assert install_hint("tensorrt") in answer.err


def test_an_unknown_runtime_is_wrong_usage(ssr_edge: Run) -> None:
    answer = ssr_edge("doctor", "--runtime", "cuda")
    assert answer.code == 2
    assert "openvino, tensorrt, tensorrt-rtx, onnxruntime" in answer.err
