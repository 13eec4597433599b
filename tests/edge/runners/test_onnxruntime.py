"""ONNX Runtime's results equal PyTorch's on real images, from weights to runner."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.images.preprocess import load
from ssr_edge.runners.choose import open_runner
from ssr_train.data.dataset import normalize, to_rgb
from ssr_train.training.checkpoint import load_checkpoint


def test_logits_are_pytorchs(tiny_bundle: Bundle, tiny_checkpoint: Path, demo_images: list[Path]) -> None:
    images = np.stack([load(path) for path in demo_images[:6]])
    network, _ = load_checkpoint(tiny_checkpoint)
    with torch.inference_mode():
        expected = network(normalize(to_rgb(images)))
    with open_runner(tiny_bundle, "onnxruntime", "fp32") as runner:
        found = runner.infer(images)
    np.testing.assert_allclose(found.logits, expected, atol=1e-5 * float(expected.abs().max()))
    np.testing.assert_allclose(found.probabilities, torch.softmax(expected, dim=1), atol=1e-6)


def test_it_says_what_it_is_and_keeps_calls_apart(tiny_bundle: Bundle, demo_images: list[Path]) -> None:
    images = np.stack([load(path) for path in demo_images[:3]])
    with open_runner(tiny_bundle, "onnxruntime", "int8", slots=2) as runner:
        assert (runner.name, runner.version, runner.slots) == ("onnxruntime-int8", onnxruntime.__version__, 2)
        assert runner.origin == "model.int8.onnx"
        first, second = runner.submit(images[:1]), runner.submit(images[1:])
        assert len(runner.collect(second).logits) == 2
        assert len(runner.collect(first).logits) == 1


def test_without_onnxruntime_the_package_is_named(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeUnavailable, match="ONNX Runtime") as error:
        open_runner(tiny_bundle, "onnxruntime", "int8")
    assert error.value.next_step == "pip install onnxruntime"
