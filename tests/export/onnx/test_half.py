"""The FP16 model: same interface, half the size, and logits within the precision of FP16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import ExportError
from ssr_edge.images.preprocess import load
from ssr_export.onnx.half import to_half
from ssr_export.onnx.qdq_rules import check_qdq


def logits(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"images": images})[0])


@pytest.mark.parametrize("name", ["model.fp32.onnx", "model.int8.onnx"])
def test_half_logits_are_close(tiny_bundle: Bundle, demo_images: list[Path], name: str) -> None:
    images = np.stack([load(path) for path in demo_images[:6]])
    model = onnx.load(tiny_bundle.file(name))
    half = to_half(model)
    expected, found = logits(model, images), logits(half, images)
    assert [o.type.tensor_type.elem_type for o in half.graph.output] == [TensorProto.FLOAT] * 2
    # With FP16 scales, INT8 rounds slightly differently and may differ by a few steps.
    limit = 0.01 if name == "model.fp32.onnx" else 0.05
    assert np.abs(found - expected).max() <= limit * np.abs(expected).max()


def test_weights_are_halves_and_int8_weights_stay(tiny_bundle: Bundle) -> None:
    half = to_half(onnx.load(tiny_bundle.file("model.int8.onnx")))
    types = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert types["network.stages.0.blocks.0.conv1.weight_int8"] == TensorProto.INT8
    assert types["network.stages.0.blocks.0.conv1.weight_scale"] == TensorProto.FLOAT16
    assert types["network.classifier.weight"] == TensorProto.FLOAT16
    check_qdq(half)


def test_a_scale_too_small_for_fp16_does_not_become_zero(tiny_bundle: Bundle) -> None:
    model = onnx.load(tiny_bundle.file("model.int8.onnx"))
    name = "network.stages.0.blocks.0.conv1.weight_scale"
    tensor = next(t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(np.full(tensor.dims, 1e-12, np.float32), name))
    half = to_half(model)
    assert numpy_helper.to_array(next(t for t in half.graph.initializer if t.name == name)).min() > 0


def test_a_weight_beyond_fp16_is_refused_by_name(tiny_bundle: Bundle) -> None:
    model = onnx.load(tiny_bundle.file("model.fp32.onnx"))
    tensor = next(t for t in model.graph.initializer if t.name.endswith("stages.1.blocks.0.conv3.bias"))
    tensor.CopyFrom(numpy_helper.from_array(np.full(tensor.dims, 7e4, np.float32), tensor.name))
    with pytest.raises(ExportError, match=r"stages\.1\.blocks\.0\.conv3\.bias"):
        to_half(model)
