"""The Q/DQ writer: which tensors it quantizes, which it leaves unchanged, and that the values are correct."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import numpy_helper

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import QMAX
from ssr_edge.common.errors import ExportError
from ssr_edge.images.preprocess import load
from ssr_export.int8.quantize import is_quantized_conv, quantization_points, quantize, quantize_weight
from ssr_export.onnx.qdq_rules import check_qdq


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5), elements=st.floats(-100, 100, width=32)
    )
)
def test_a_quantized_weight_is_within_half_a_step_by_channel(weight: np.ndarray) -> None:
    values, scale = quantize_weight(weight)
    shape = (-1,) + (1,) * (weight.ndim - 1)
    error = np.abs(values.astype(np.float32) * scale.reshape(shape) - weight)
    assert values.dtype == np.int8
    assert np.abs(values.astype(int)).max() <= QMAX
    assert np.all(error <= scale.reshape(shape) * 0.5001 + 1e-30)


def test_points_are_the_inputs_of_convolutions_and_skips_outside_the_attention(fp32: onnx.ModelProto) -> None:
    consumers = [point.consumer for point in quantization_points(fp32)]
    # The stem; conv1, spatial, conv3 and the shortcut's addition in each of four blocks. The shortcut convolution
    # shares conv1's input and therefore its point.
    assert len(consumers) == 1 + 4 * 4
    assert consumers[0] == "stem"
    assert not any("attention" in consumer for consumer in consumers)


def test_attention_and_classifier_stay_in_floating_point(fp32: onnx.ModelProto, ranges: dict[str, float]) -> None:
    model = quantize(fp32, ranges)
    weights = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Gemm" or (node.op_type == "Conv" and ".attention." in node.name):
            assert weights[node.input[1]] == onnx.TensorProto.FLOAT


def test_every_other_convolution_reads_int8_activations_and_weights(
    fp32: onnx.ModelProto, ranges: dict[str, float]
) -> None:
    model = quantize(fp32, ranges)
    producer = {output: node for node in model.graph.node for output in node.output}
    convolutions = [n for n in model.graph.node if n.op_type == "Conv" and ".attention." not in n.name]
    assert len(convolutions) == 1 + 4 * 4
    for node in convolutions:
        assert [producer[name].op_type for name in node.input[:2]] == ["DequantizeLinear"] * 2
        assert node.input[2] not in producer, "a bias must not be quantized"
    check_qdq(model)


def test_scales_are_the_ranges_over_127(fp32: onnx.ModelProto, ranges: dict[str, float]) -> None:
    model = quantize(fp32, ranges)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for tensor, largest in ranges.items():
        assert constants[f"{tensor}_scale"] == pytest.approx(largest / QMAX, rel=1e-6)


def test_the_int8_file_is_about_a_third_of_the_fp32_one(tiny_bundle: Bundle) -> None:
    sizes = {file.path: file.size for file in tiny_bundle.manifest.files}
    assert sizes["model.int8.onnx"] < 0.4 * sizes["model.fp32.onnx"]


def test_int8_logits_are_close_to_fp32_on_real_images(tiny_bundle: Bundle, demo_images: list[Path]) -> None:
    images = np.stack([load(path) for path in demo_images])

    def logits(name: str) -> np.ndarray:
        session = onnxruntime.InferenceSession(tiny_bundle.file(name), providers=["CPUExecutionProvider"])
        return np.asarray(session.run(["logits"], {"images": images})[0])

    exact, quantized = logits("model.fp32.onnx"), logits("model.int8.onnx")
    assert np.abs(quantized - exact).max() > 0
    assert np.abs(quantized - exact).mean() < 0.05 * np.abs(exact).max()


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf"), None])
def test_an_unusable_range_is_refused_by_name(
    fp32: onnx.ModelProto, ranges: dict[str, float], bad: float | None
) -> None:
    tensor = next(iter(ranges))
    broken = {k: v for k, v in ranges.items() if k != tensor} | ({} if bad is None else {tensor: bad})
    with pytest.raises(ExportError, match=tensor):
        quantize(fp32, broken)


def test_biases_are_corrected_in_int8_convolutions_and_unchanged_in_float_blocks(
    fp32: onnx.ModelProto, ranges: dict[str, float]
) -> None:
    old = {tensor.name: numpy_helper.to_array(tensor) for tensor in fp32.graph.initializer}
    quantized = [node for node in fp32.graph.node if is_quantized_conv(node)]
    errors = {node.input[2]: [0.25] * len(old[node.input[2]]) for node in quantized}
    model = quantize(fp32, ranges, ["stages.1.blocks.0"], errors)
    new = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in quantized:
        float_block = node.name.startswith("stages.1.blocks.0.")
        np.testing.assert_array_equal(new[node.input[2]], old[node.input[2]] - np.float32(0 if float_block else 0.25))
    assert sum(node.name.startswith("stages.1.blocks.0.") for node in quantized) >= 3
