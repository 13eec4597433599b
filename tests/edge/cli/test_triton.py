from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.install_hint import install_hint

Run = Callable[..., Any]


def test_a_bundle_becomes_a_repository(ssr_edge: Run, tiny_bundle: Bundle, tmp_path: Path) -> None:
    answer = ssr_edge("triton", tiny_bundle.path, tmp_path / "models")
    assert answer.code == 0, answer.err
    name = tiny_bundle.path.name
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [
        f"{name}_{p}" for p in ("fp16", "fp32", "int8")
    ]
    assert f"{name}_int8/1: model.int8.onnx with openvino, written" in answer.out
    assert answer.out.endswith(f"next: tritonserver --model-repository={tmp_path / 'models'}\n")


def test_a_missing_package_is_named(
    ssr_edge: Run, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    answer = ssr_edge("triton", tiny_bundle.path, tmp_path)
    assert answer.code == 1
    assert "grpc is not installed" in answer.err and install_hint("triton") in answer.err


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (["--runtime", "torch"], 2, "--runtime 'torch'"),
        (["--bench", "no.json"], 2, "no.json"),
        (["--runtime", "tensorrt"], 1, "tensorrt"),
    ],
)
def test_a_user_error_writes_nothing(
    ssr_edge: Run, tiny_bundle: Bundle, tmp_path: Path, arguments: list[str], code: int, found: str
) -> None:
    answer = ssr_edge("triton", tiny_bundle.path, tmp_path / "models", *arguments)
    assert (answer.code, found in answer.err) == (code, True), answer.err
    assert not (tmp_path / "models").exists()
