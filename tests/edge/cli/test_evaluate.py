from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.bundle import Bundle
from ssr_train.judge import judge_checkpoint

Run = Callable[..., Any]


def test_a_checkpoint_and_its_bundle_have_the_same_figures(
    ssr_edge: Run, tiny_checkpoint: Path, tiny_bundle: Bundle
) -> None:
    _, expected = judge_checkpoint(tiny_checkpoint, None, "test")
    answer = ssr_edge("evaluate", tiny_checkpoint, "--json", "-")
    assert answer.code == 0
    assert json.loads(answer.out) == {"source": str(tiny_checkpoint), "part": "test", **asdict(expected)}
    answer = ssr_edge("evaluate", tiny_bundle.path, "--precision", "fp32", "--json", "-")
    assert json.loads(answer.out) == {
        "source": f"{tiny_bundle.path} openvino-fp32",
        "part": "test",
        **asdict(expected),
    }


def test_the_table_has_a_row_a_class_and_the_macro_figures(
    ssr_edge: Run, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    answer = ssr_edge("evaluate", tiny_checkpoint.parent, "--part", "val", "--json", tmp_path / "e.json")
    assert answer.code == 0
    figures = json.loads((tmp_path / "e.json").read_text())
    assert f"macro-F1 {figures['macro_f1']:.3f}, accuracy {figures['accuracy']:.3f} on 10 images" in answer.out
    lines = [line.split() for line in answer.out.splitlines()]
    (adenosis,) = [line for line in lines if "adenosis" in line]
    assert adenosis[4] == str(sum(figures["confusion"][0]))


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (("nowhere.safetensors",), 2, "nowhere.safetensors does not exist"),
        (("notes.txt",), 1, "notes.txt can't be read"),
        (("CHECKPOINT", "--data", "nowhere"), 1, "nowhere is not a folder"),
        (("CHECKPOINT", "--part", "train"), 2, "'train' is not one of"),
        (("BUNDLE", "--runtime", "cuda"), 2, "runtime 'cuda' is not known"),
    ],
)
def test_errors(
    ssr_edge: Run,
    tiny_checkpoint: Path,
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    found: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no checkpoint")
    known = {"CHECKPOINT": str(tiny_checkpoint), "BUNDLE": str(tiny_bundle.path)}
    answer = ssr_edge("evaluate", *(known.get(argument, argument) for argument in arguments))
    assert answer.code == code
    assert found in " ".join(answer.err.replace("│", " ").split())
    assert "Traceback" not in answer.err
