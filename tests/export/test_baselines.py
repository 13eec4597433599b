"""The baselines of Table 3, end to end from images to labels; and the errors for INT8 options of a Swin."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.runners.choose import open_runner
from ssr_train.models import arch as arch_module
from ssr_train.models.arch import Arch, BhcNetConfig, SwinConfig, arch_from_dict
from ssr_train.training.checkpoint import load_checkpoint
from ssr_train.training.recipe import RECIPES

pytestmark = pytest.mark.slow

Run = Callable[..., Any]
SMALL: dict[str, Arch] = {
    "bhcnet": BhcNetConfig("bhcnet", (1, 1, 1), width=8, se_reduction=4),
    "swin_t": SwinConfig("swin_t", (2, 1, 1, 1), width=24, heads=1),
}


@pytest.mark.parametrize("name", list(SMALL))
def test_from_images_to_labels_by_the_same_commands(
    ssr_edge: Run, breakhis_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(arch_module._REGISTRY, name, lambda: SMALL[name])
    Path("small.toml").write_text("image_sizes = [64]\n" + (RECIPES / "paper.toml").read_text())
    arguments = ("--arch", name, "--recipe", "small.toml", "--epochs", 1, "--run", "run")
    answer = ssr_edge("train", "--data", breakhis_tree, *arguments)
    assert answer.code == 0, answer.err
    network, card = load_checkpoint(Path("run/checkpoint.safetensors"))
    assert arch_from_dict(card.arch) == network.arch == SMALL[name]

    answer = ssr_edge(
        "build-engine",
        "run",
        "--bundle",
        "bundle",
        "--runtime",
        "openvino",
        "--allow-drop",
        "--float-blocks",
        "none",
        "--cam",
    )
    assert answer.code == 0, answer.err
    bundle = Bundle.open(Path("bundle"))
    engines = {engine.precision for engine in bundle.manifest.engines}
    assert ("int8" in engines) == bundle.has("model.int8.onnx") == (name == "bhcnet")
    assert {"fp32"} <= engines and bundle.has("model.fp16.onnx")
    _same_in_every_runtime(bundle)

    answer = ssr_edge("evaluate", "bundle", "--precision", "fp32", "--part", "val")
    assert answer.code == 0, answer.err
    answer = ssr_edge("infer", breakhis_tree, "--bundle", "bundle", "-o", "found.csv")
    assert answer.code == 0, answer.err
    with Path("found.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 82
    if name == "swin_t":
        for model in (("run", "--bundle", "other"), ("bundle",)):
            answer = ssr_edge("build-engine", *model, "--precision", "int8")
            assert answer.code == 2
            assert "swin_t" in answer.err.splitlines()[0] and "--precision fp32" in answer.err
        answer = ssr_edge("train", "--qat", "run")
        assert answer.code == 2 and "--qat" in answer.err and "swin_t" in answer.err.splitlines()[0]
    answer = ssr_edge("build-engine", "run", "--bundle", "other", "--equalize")
    assert answer.code == 2 and "--equalize" in answer.err and name in answer.err.splitlines()[0]


def _same_in_every_runtime(bundle: Bundle) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    found = {}
    for runtime, precision in (("onnxruntime", "fp32"), ("openvino", "fp32"), ("onnxruntime", "fp16")):
        with open_runner(bundle, runtime, precision) as runner:
            found[runtime, precision] = runner.infer(images)
    expected = found.pop(("onnxruntime", "fp32"))
    assert expected.cam is not None
    for (_, precision), outputs in found.items():
        assert outputs.cam is not None
        limit = 1e-5 if precision == "fp32" else 0.02
        assert np.abs(outputs.logits - expected.logits).max() <= limit * np.abs(expected.logits).max()
        assert np.abs(outputs.cam - expected.cam).max() <= limit * np.abs(expected.cam).max()
    # The graph computes nothing that is independent of the pixels; FP16 would be mistyped there.
    kinds = {node.op_type for node in onnx.load(bundle.file("model.fp32.onnx")).graph.node}
    assert not kinds & {"ScatterND", "ConstantOfShape", "Where", "Range", "Shape"}
