"""Class activation maps follow their definition in PyTorch, ONNX Runtime and OpenVINO, in all precisions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.images.preprocess import load
from ssr_edge.runners.choose import open_runner
from ssr_export.build_bundle import build_bundle
from ssr_export.engines.build import EngineRequest
from ssr_export.plan import BundlePlan
from ssr_train.data.dataset import normalize, to_rgb
from ssr_train.evaluation.evaluate import evaluate_bundle, evaluate_checkpoint
from ssr_train.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path, calibration_images: list[Path]) -> Bundle:
    """The tiny bundle with class activation maps."""
    plan = BundlePlan(
        source=tiny_checkpoint,
        bundle=tmp_path_factory.mktemp("bundles") / "cam",
        engines=(EngineRequest("openvino", "fp32"), EngineRequest("openvino", "int8")),
        method="percentile",
        images=calibration_images[0].parent,
        allow_drop=True,
        float_blocks="none",
        cam=True,
    )
    return build_bundle(plan, lambda line: None)


@pytest.fixture(scope="module")
def pixels(demo_images: list[Path]) -> np.ndarray:
    return np.stack([load(path) for path in demo_images[:6]])


@pytest.fixture(scope="module")
def defined(tiny_checkpoint: Path, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The maps from their definition, sum over k of W[c, k] f_k(x, y), and the logits of the unfolded network."""
    network, _ = load_checkpoint(tiny_checkpoint)
    with torch.inference_mode():
        features = network.feature_map(normalize(to_rgb(pixels))).double().numpy()
        logits = network(normalize(to_rgb(pixels))).numpy()
    weight = network.classifier.weight.detach().double().numpy()
    return np.einsum("ck,nkyx->ncyx", weight, features), logits


def test_a_maps_mean_and_the_bias_are_the_logit(
    tiny_checkpoint: Path, pixels: np.ndarray, defined: tuple[np.ndarray, np.ndarray]
) -> None:
    network, _ = load_checkpoint(tiny_checkpoint)
    with torch.inference_mode():
        logits, cam = network.forward_with_cam(normalize(to_rgb(pixels)))
    assert cam.shape == (6, 8, 7, 7)
    assert np.abs(cam.numpy() - defined[0]).max() <= 1e-5 * np.abs(defined[0]).max()
    np.testing.assert_allclose(logits.numpy(), defined[1], atol=1e-6)
    rebuilt = cam.mean((2, 3)) + network.classifier.bias.detach()
    assert float((rebuilt - logits).abs().max()) <= 1e-5 * float(logits.abs().max())


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_fp32_runtimes_give_the_defined_maps(
    bundle: Bundle, pixels: np.ndarray, defined: tuple[np.ndarray, np.ndarray], runtime: str
) -> None:
    with open_runner(bundle, runtime, "fp32", slots=2) as runner:
        found = runner.infer(pixels)
    assert found.cam is not None and found.cam.dtype == np.float32
    assert np.abs(found.cam - defined[0]).max() <= 1e-5 * np.abs(defined[0]).max()
    assert np.abs(found.logits - defined[1]).max() <= 1e-5 * np.abs(defined[1]).max()


def test_int8_and_fp16_models_have_it_in_float32_and_close(
    bundle: Bundle, pixels: np.ndarray, defined: tuple[np.ndarray, np.ndarray]
) -> None:
    largest = np.abs(defined[0]).max()
    for runtime, precision, limit in (("openvino", "int8", 0.3), ("onnxruntime", "fp16", 0.02)):
        with open_runner(bundle, runtime, precision) as runner:
            found = runner.infer(pixels)
        assert found.cam is not None and found.cam.dtype == np.float32
        assert np.abs(found.cam - defined[0]).max() <= limit * largest
    for precision in ("fp32", "fp16", "int8"):
        outputs = onnx.load(bundle.file(f"model.{precision}.onnx")).graph.output
        assert [output.name for output in outputs] == ["logits", "probabilities", "cam"]
        assert {output.type.tensor_type.elem_type for output in outputs} == {onnx.TensorProto.FLOAT}


def test_a_bundle_without_maps_gives_none(tiny_bundle: Bundle, pixels: np.ndarray) -> None:
    for runtime in ("onnxruntime", "openvino"):
        with open_runner(tiny_bundle, runtime, "fp32") as runner:
            assert runner.infer(pixels).cam is None


def test_evaluate_draws_the_same_maps_for_a_bundle_and_its_checkpoint(bundle: Bundle, tiny_checkpoint: Path) -> None:
    expected = evaluate_checkpoint(tiny_checkpoint, None, "val", cam=True)
    found = evaluate_bundle(bundle, None, "val", "openvino", "fp32", cam=True)
    assert expected.cam is not None and found.cam is not None
    assert expected.cam.shape == (expected.metrics.images, 7, 7)
    assert np.abs(found.cam - expected.cam).max() <= 1e-4 * np.abs(expected.cam).max()


def test_a_bundles_models_stay_as_they_are(ssr_edge: Run, tiny_bundle: Bundle) -> None:
    answer = ssr_edge("build-engine", tiny_bundle.path, "--cam")
    assert answer.code == 2
    assert "--cam" in answer.err.splitlines()[0]
