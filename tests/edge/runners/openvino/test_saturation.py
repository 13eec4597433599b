"""INT8 on CPUs whose sums of products overflow: detected, and avoided with 7-bit weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
from onnx import numpy_helper

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.images.preprocess import Image, load
from ssr_edge.runners.choose import open_runner
from ssr_edge.runners.openvino import runner as runner_module
from ssr_edge.runners.openvino.runner import compile_network, engine_options
from ssr_edge.runners.openvino.saturation import _probe, int8_saturates, seven_bit_weights

# The largest sum that x86's vpmaddubsw holds.
INT16_MAX = 32_767


@pytest.fixture(scope="module")
def images(demo_images: list[Path]) -> Image:
    """uint8 [22, 224, 224, 3], BGR."""
    return np.stack([load(path) for path in demo_images])


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Dequantized int8 weights by name, float32 [out, ...]."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {
        node.input[0]: constants[node.input[0]]
        * constants[node.input[1]].reshape((-1,) + (1,) * (constants[node.input[0]].ndim - 1))
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in constants
    }


def onnxruntime_logits(model: onnx.ModelProto, images: Image) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"images": images})[0])


def openvino_logits(compiled: openvino.CompiledModel, images: Image) -> np.ndarray:
    return np.concatenate([np.array(compiled(image[None])["logits"]) for image in images])


def test_no_pair_of_products_can_overflow_and_weights_move_by_half_a_step_of_seven_bits(tiny_bundle: Bundle) -> None:
    model = onnx.load(tiny_bundle.file("model.int8.onnx"))
    narrowed = seven_bit_weights(model)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in narrowed.graph.initializer}
    before, after = weights(model), weights(narrowed)
    assert list(before) == list(after)
    assert len(after) == 17
    for name, weight in after.items():
        assert stored[name].dtype == np.int8
        assert 2 * 255 * int(np.abs(stored[name].astype(int)).max()) <= INT16_MAX
        step = np.abs(before[name]).reshape(len(weight), -1).max(axis=1) / 127
        assert np.all(np.abs(weight - before[name]).reshape(len(weight), -1).max(axis=1) <= 1.01 * step)
    # Activations keep their eight bits, and so does everything else.
    weight_scales = {name.replace("_int8", "_scale") for name in after}
    for tensor in model.graph.initializer:
        if tensor.name not in after and tensor.name not in weight_scales:
            np.testing.assert_array_equal(stored[tensor.name], numpy_helper.to_array(tensor))


def test_the_probe_finds_what_exact_arithmetic_says_is_wrong_here() -> None:
    images = np.where(np.arange(64).reshape(1, 1, 8, 8) % 3, 1, -1) * np.ones((1, 64, 1, 1))
    session = onnxruntime.InferenceSession(_probe().SerializeToString(), providers=["CPUExecutionProvider"])
    exact = session.run(None, {"x": images.astype(np.float32)})[0]
    np.testing.assert_allclose(exact, 64 * images, rtol=1e-6)
    core = openvino.Core()
    found = core.compile_model(core.read_model(_probe().SerializeToString()), "CPU")({0: images.astype(np.float32)})[0]
    assert int8_saturates() == (not np.allclose(found, exact, rtol=0.02))


def test_seven_bits_are_right_on_every_processor(
    tiny_bundle: Bundle, images: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "int8_saturates", lambda: True)
    file = tiny_bundle.file("model.int8.onnx")
    core = openvino.Core()
    found = openvino_logits(compile_network(core, file, "int8"), images)
    expected = onnxruntime_logits(seven_bit_weights(onnx.load(file)), images)
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))
    assert engine_options("int8")["WEIGHT_BITS"] == "7"
    assert "WEIGHT_BITS" not in engine_options("fp32")


def test_eight_bits_are_kept_where_sums_are_exact(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "int8_saturates", lambda: False)
    monkeypatch.setattr(runner_module, "seven_bit_weights", lambda model: pytest.fail("narrowed for nothing"))
    compile_network(openvino.Core(), tiny_bundle.file("model.int8.onnx"), "int8")
    assert "WEIGHT_BITS" not in engine_options("int8")


@pytest.mark.parametrize("saturates", [False, True])
def test_an_engine_compiled_with_other_weights_is_not_taken(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, saturates: bool
) -> None:
    entry = tiny_bundle.engine("openvino", "int8")
    assert entry is not None
    monkeypatch.setattr(runner_module, "int8_saturates", lambda: saturates)
    with open_runner(tiny_bundle, "openvino", "int8") as runner:
        built_so = entry.options == engine_options("int8")
        assert runner.origin == (entry.file if built_so else "compiled from model.int8.onnx")
        assert ("7-bit weights" in runner.device) == saturates
    assert ("WEIGHT_BITS" in entry.options) == int8_saturates()
