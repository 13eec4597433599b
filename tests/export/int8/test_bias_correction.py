"""Bias correction removes the mean error of each convolution exactly, borders included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import QMAX
from ssr_export.int8.activations import stream_activations
from ssr_export.int8.bias_correction import ConvInputs, bias_errors
from ssr_export.int8.calibrate import calibrate
from ssr_export.int8.quantize import is_quantized_conv, quantize, quantize_weight


def fake_quantized(values: np.ndarray, largest: float) -> np.ndarray:
    scale = largest / QMAX
    return np.asarray(np.clip(np.rint(values / scale), -QMAX, QMAX) * scale)


def rounded(weight: np.ndarray) -> np.ndarray:
    values, scale = quantize_weight(weight.astype(np.float32))
    return np.asarray(values * scale.reshape(-1, 1, 1, 1).astype(np.float64))


@settings(max_examples=50, deadline=None)
@given(
    kernel=st.sampled_from([1, 3, 7]),
    stride=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    size=st.integers(3, 9),
    seed=st.integers(0, 2**31),
)
def test_the_error_of_the_mean_input_is_the_mean_of_the_errors(
    kernel: int, stride: int, groups: int, size: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    weight = random.normal(size=(8, 8 // groups, kernel, kernel)).astype(np.float32)
    inputs = np.abs(random.normal(size=(5, 8, size, size)))
    clipped = fake_quantized(inputs, 1.0)
    pad = kernel // 2
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[stride] * 2, pads=[pad] * 4, group=groups)

    def outputs(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        found = torch.nn.functional.conv2d(
            torch.from_numpy(x), torch.from_numpy(w), stride=stride, padding=pad, groups=groups
        )
        return np.asarray(found.numpy())

    each = outputs(clipped, rounded(weight)) - outputs(inputs, weight.astype(np.float64))
    convolution = ConvInputs(node, weight)
    for first, last in ((0, 2), (2, 5)):
        convolution.add(inputs[first:last].sum(0), clipped[first:last].sum(0), last - first)
    found = convolution.mean_output_error()
    assert np.abs(found).max() > 0
    np.testing.assert_allclose(found, each.mean((0, 2, 3)), atol=1e-12)


@pytest.fixture(scope="module")
def corrected(
    tiny_bundle: Bundle, calibration_images: list[Path]
) -> tuple[onnx.ModelProto, onnx.ModelProto, dict[str, float]]:
    """INT8 models before and after correction, and their ranges, which clip many values."""
    model = tiny_bundle.file("model.fp32.onnx")
    ranges = {
        tensor: largest / 2 for tensor, largest in calibrate(model, calibration_images[:4], "minmax").ranges.items()
    }
    errors = bias_errors(model, ranges, calibration_images[:4])
    before, after = quantize(onnx.load(model), ranges), quantize(onnx.load(model), ranges, bias_errors=errors)
    return before, after, ranges


def test_only_biases_of_int8_convolutions_change(
    corrected: tuple[onnx.ModelProto, onnx.ModelProto, dict[str, float]],
) -> None:
    before, after, _ = corrected
    biases = {node.input[2] for node in before.graph.node if is_quantized_conv(node)}
    old = {tensor.name: numpy_helper.to_array(tensor) for tensor in before.graph.initializer}
    new = {tensor.name: numpy_helper.to_array(tensor) for tensor in after.graph.initializer}
    changed = {name for name in old if not np.array_equal(old[name], new[name])}
    assert changed == biases
    assert all(new[name].dtype == np.float32 for name in biases)
    assert [node.name for node in before.graph.node] == [node.name for node in after.graph.node]


def test_mean_outputs_given_fp32_inputs_are_fp32s(
    tiny_bundle: Bundle,
    calibration_images: list[Path],
    corrected: tuple[onnx.ModelProto, onnx.ModelProto, dict[str, float]],
) -> None:
    before, after, ranges = corrected
    path = tiny_bundle.file("model.fp32.onnx")
    model = onnx.load(path)
    node = next(node for node in model.graph.node if node.name == "stages.1.blocks.0.spatial")
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weight = constants[node.input[1]]
    inputs = np.concatenate(
        [batch[node.input[0]] for batch in stream_activations(path, calibration_images[:4], "test")]
    )

    def mean_output(x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
        found = torch.nn.functional.conv2d(
            torch.from_numpy(x).double(),
            torch.from_numpy(w.copy()).double(),
            torch.from_numpy(bias.copy()).double(),
            stride=2,
            padding=1,
            groups=8,
        )
        return np.asarray(found.mean((0, 2, 3)).numpy())

    def bias(of: onnx.ModelProto) -> np.ndarray:
        return next(numpy_helper.to_array(t) for t in of.graph.initializer if t.name == node.input[2])

    exact = mean_output(inputs, weight, bias(model))
    clipped = fake_quantized(inputs.astype(np.float64), ranges[node.input[0]])
    wrong = np.abs(mean_output(clipped, rounded(weight), bias(before)) - exact).max()
    right = np.abs(mean_output(clipped, rounded(weight), bias(after)) - exact).max()
    assert right < 1e-4 * np.abs(exact).max()
    assert wrong > 20 * right
