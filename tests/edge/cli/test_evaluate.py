from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.evaluation.bootstrap import malignancy_intervals
from ssr_edge.evaluation.metrics import by_class
from ssr_train.evaluation.evaluate import evaluate_checkpoint

Run = Callable[..., Any]


def test_a_checkpoint_and_its_bundle_have_the_same_metrics(
    ssr_edge: Run, tiny_checkpoint: Path, tiny_bundle: Bundle
) -> None:
    evaluation = evaluate_checkpoint(tiny_checkpoint, None, "test")
    sensitivity, specificity = malignancy_intervals(
        evaluation.images.targets.numpy(), evaluation.predicted, evaluation.patients
    )
    expected = {
        "part": "test",
        **asdict(evaluation.metrics),
        "tta": False,
        "patients": len(set(evaluation.patients)),
        "malignant_sensitivity_ci95": list(sensitivity or ()),
        "malignant_specificity_ci95": list(specificity or ()),
        "classes": [asdict(of_class) for of_class in by_class(evaluation.metrics)],
    }
    answer = ssr_edge("evaluate", tiny_checkpoint, "--json", "-")
    assert answer.code == 0
    assert json.loads(answer.out) == {"source": str(tiny_checkpoint), **expected}
    answer = ssr_edge("evaluate", tiny_bundle.path, "--precision", "fp32", "--json", "-")
    assert json.loads(answer.out) == {"source": f"{tiny_bundle.path} openvino-fp32", **expected}


def test_the_table_has_a_row_per_class_and_the_macro_metrics(
    ssr_edge: Run, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    answer = ssr_edge("evaluate", tiny_checkpoint.parent, "--part", "val", "--json", tmp_path / "e.json")
    assert answer.code == 0
    figures = json.loads((tmp_path / "e.json").read_text())
    assert re.search(rf"{figures['macro_f1']:.3f}.* {figures['accuracy']:.3f}.* 10 images", answer.out)
    lines = [line.split() for line in answer.out.splitlines()]
    (adenosis,) = [line for line in lines if "adenosis" in line]
    assert adenosis[10] == str(sum(figures["confusion"][0])) == str(figures["classes"][0]["support"])
    low, high = figures["malignant_sensitivity_ci95"]
    assert f"{figures['malignant_sensitivity']:.3f} ({low:.3f} to {high:.3f})" in answer.out
    assert f"{figures['patients']} patients" in answer.out


@pytest.mark.slow
def test_plots_and_activation_maps_are_written(ssr_edge: Run, tiny_checkpoint: Path, tmp_path: Path) -> None:
    out, cams = tmp_path / "out", tmp_path / "cams"
    answer = ssr_edge(
        "evaluate", tiny_checkpoint, "--part", "val", "--tta", "-o", out, "--cam", cams, "--json", out / "e.json"
    )
    assert answer.code == 0, answer.err
    assert "eight views" in answer.out
    assert {path.name for path in out.iterdir()} == {"confusion.svg", "confusion.png", "mistakes.png", "e.json"}
    figures = json.loads((out / "e.json").read_text())
    assert figures["tta"] is True
    assert "<svg" in (out / "confusion.svg").read_text()
    sheet = cv2.imread(str(out / "mistakes.png"))
    rows = -(-round(figures["images"] * (1 - figures["accuracy"])) // 4)
    assert sheet is not None and sheet.shape[0] == 64 + 254 * rows
    evaluation = evaluate_checkpoint(tiny_checkpoint, None, "val")
    for record in evaluation.images.records:
        drawn, original = cv2.imread(str(cams / f"{record.name}.jpg")), cv2.imread(str(record.path))
        assert drawn is not None and original is not None
        assert drawn.shape == original.shape
        assert np.abs(drawn.astype(int) - original).mean() > 10


def test_a_folder_that_cant_be_written_is_the_users_mistake(
    ssr_edge: Run, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    answer = ssr_edge("evaluate", tiny_checkpoint, "--part", "val", "-o", tmp_path / "file" / "out")
    assert answer.code == 2
    assert "file/out" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (("nowhere.safetensors",), 2, "nowhere.safetensors"),
        (("notes.txt",), 1, "notes.txt"),
        (("CHECKPOINT", "--data", "nowhere"), 1, "nowhere"),
        (("CHECKPOINT", "--part", "train"), 2, "'train'"),
        (("BUNDLE", "--runtime", "cuda"), 2, "'cuda'"),
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
