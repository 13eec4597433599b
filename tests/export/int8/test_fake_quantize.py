"""The fake quantizers match the Q/DQ pairs of the export: the same arithmetic on the same tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ssr_edge.images.preprocess import load
from ssr_export.folding.fold import fold
from ssr_export.int8.calibrate import calibrate
from ssr_export.int8.fake_quantize import (
    ConvRanges,
    fake_quantize,
    fake_quantize_weight,
    ranges_by_conv,
    with_fake_quantizers,
    without_fake_quantizers,
)
from ssr_export.int8.quantize import quantization_points, quantize, quantize_weight
from ssr_export.onnx.to_onnx import export_onnx
from ssr_train.data.dataset import normalize, to_rgb
from ssr_train.models.arch import ArchConfig
from ssr_train.models.network import Network, SSResNeXt
from ssr_train.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

MakeNetwork = Callable[..., SSResNeXt]
# Identity shortcuts, a stride of 2, and an addition between blocks that is not quantized.
ARCH = ArchConfig("miniature", (3, 2, 1, 1), stem_width=16, group_width=16, out_width=32, groups=4, se_reduction=4)


@pytest.fixture(scope="module", params=["demo weights", "random weights"])
def folded(request: pytest.FixtureRequest, demo_checkpoint: Path) -> Network:
    if request.param == "demo weights":
        return fold(load_checkpoint(demo_checkpoint)[0]).float()
    return fold(random_network()).float()


def random_network() -> SSResNeXt:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = SSResNeXt(ARCH).eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.2)
    return network


@pytest.fixture(scope="module")
def model_and_ranges(
    folded: Network, calibration_images: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[onnx.ModelProto, dict[str, float]]:
    """The folded network as FP32 ONNX, and ranges of its activations; `percentile`, so that some values are clipped."""
    path = tmp_path_factory.mktemp("folded") / "fp32.onnx"
    export_onnx(folded, path)
    return onnx.load(path), calibrate(path, calibration_images[:8], "percentile").ranges


def test_logits_are_those_of_the_quantized_onnx_file(
    folded: Network,
    model_and_ranges: tuple[onnx.ModelProto, dict[str, float]],
    demo_images: list[Path],
    record_property: Callable[[str, object], None],
) -> None:
    model, ranges = model_and_ranges
    images = np.stack([load(path) for path in demo_images[::3]])
    exact, expected = run(model, images), run(quantize(model, ranges), images)
    found = logits(with_fake_quantizers(folded, ranges_by_conv(model, ranges)), images)

    scale = np.abs(exact).mean()
    int8_error, difference = np.abs(expected - exact).mean() / scale, np.abs(found - expected).mean() / scale
    record_property("int8 error, difference", (float(int8_error), float(difference)))
    assert int8_error > 0.02
    # A different order of FP32 sums can round a value halfway between two steps the other way; nothing else differs.
    # Leaving one skip input or one convolution in floating point gives 0.035 or more.
    assert difference < 0.02 * int8_error


def test_every_quantization_point_has_its_quantizer(model_and_ranges: tuple[onnx.ModelProto, dict[str, float]]) -> None:
    model, ranges = model_and_ranges
    found = ranges_by_conv(model, ranges)
    assert {*found.inputs.values(), *found.outputs.values()} == set(ranges.values())
    assert set(found.outputs) == {name for name in found.inputs if name.endswith(".shortcut")}
    assert set(ranges) == {point.tensor for point in quantization_points(model)}


def test_attention_and_classifier_are_left_alone_and_the_original_too(make_network: MakeNetwork) -> None:
    folded = fold(make_network("ssresnext14_8x4d")).float()
    before = copy.deepcopy(folded.state_dict())
    quantized = with_fake_quantizers(folded, some_ranges(folded))
    assert folded.state_dict().keys() == before.keys()
    kept = [name for name in before if ".attention." in name or name.startswith("classifier")]
    assert len(kept) == 4 * 4 + 2
    assert all(torch.equal(quantized.state_dict()[name], before[name]) for name in kept)


def test_taking_the_quantizers_off_gives_the_folded_network_back(make_network: MakeNetwork) -> None:
    folded = fold(make_network("ssresnext26_16x4d")).float()
    quantized = with_fake_quantizers(folded, some_ranges(folded))
    plain = without_fake_quantizers(quantized)
    assert str(plain) == str(folded)
    assert all(torch.equal(tensor, plain.state_dict()[name]) for name, tensor in folded.state_dict().items())
    with torch.no_grad():
        plain.stem.weight.zero_()
    assert quantized.state_dict()["stem.conv.weight"].abs().max() > 0


def test_a_copy_as_averaging_makes_one_computes_the_same(make_network: MakeNetwork, demo_images: list[Path]) -> None:
    folded = fold(make_network("ssresnext14_8x4d")).float()
    quantized = with_fake_quantizers(folded, some_ranges(folded))
    images = np.stack([load(demo_images[0])])
    averaged = AveragedModel(quantized, use_buffers=True)
    averaged.update_parameters(quantized)
    assert np.array_equal(logits(averaged.module, images), logits(quantized, images))
    assert not np.array_equal(logits(folded, images), logits(quantized, images))


def test_every_weight_and_bias_gets_a_gradient(make_network: MakeNetwork, demo_images: list[Path]) -> None:
    folded = fold(make_network("ssresnext14_8x4d")).float()
    quantized = with_fake_quantizers(folded, some_ranges(folded)).train()
    quantized(normalize(to_rgb(np.stack([load(demo_images[0])])))).logsumexp(1).sum().backward()
    for name, parameter in quantized.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_a_gradient_passes_rounding_and_stops_at_clipping() -> None:
    x = torch.tensor([-70.0, -64.0, -0.3, 0.0, 0.2, 63.5, 63.7, 64.0], requires_grad=True)
    fake_quantize(x, torch.tensor(0.5), -128).backward(torch.arange(1.0, 9.0))
    # -64 is -128 steps and 63.5 is 127: both are kept. 63.7 still rounds to 127 steps; 64 would be 128.
    assert x.grad is not None and x.grad.tolist() == [0, 2, 3, 4, 5, 6, 7, 0]


def test_a_weights_gradient_is_that_of_the_rounded_weight() -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 3, 3, 3, requires_grad=True)
    gradient = torch.randn(4, 3, 3, 3)
    fake_quantize_weight(weight).backward(gradient)
    assert weight.grad is not None and torch.equal(weight.grad, gradient)


floats = st.floats(-1000, 1000, width=32, allow_subnormal=False)


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=4, max_dims=4, max_side=4), elements=floats))
def test_weights_are_what_the_export_would_store(weight: np.ndarray) -> None:
    values, scale = quantize_weight(weight)
    expected = values.astype(np.float32) * scale.reshape(-1, 1, 1, 1)
    assert np.array_equal(fake_quantize_weight(torch.from_numpy(weight)).numpy(), expected)


@given(
    hnp.arrays(np.float32, st.integers(1, 50), elements=floats),
    st.floats(2**-10, 1000, width=32).map(lambda largest: np.float32(largest / 127)),
    st.integers(-140, 140),
)
def test_activations_are_what_quantize_and_dequantize_linear_make(
    values: np.ndarray, scale: np.float32, halves: int
) -> None:
    # Also values halfway between two steps, which round to even, and beyond both ends: -128 is a step, 128 is not.
    values = np.concatenate([values, np.array([halves + 0.5, -halves - 0.5, 1e6, -1e6], np.float32) * scale])
    found = fake_quantize(torch.from_numpy(values), torch.tensor(scale), -128).numpy()
    assert np.array_equal(found, quantize_dequantize_linear(values, scale))


def quantize_dequantize_linear(values: np.ndarray, scale: np.float32) -> np.ndarray:
    """The two operators in the ONNX reference implementation."""
    constants = [
        numpy_helper.from_array(np.asarray(scale), "scale"),
        numpy_helper.from_array(np.asarray(0, np.int8), "zero_point"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero_point"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero_point"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "xy")
    model = helper.make_model(
        helper.make_graph(nodes, "pair", [x], [y], constants), opset_imports=[helper.make_opsetid("", 19)]
    )
    outputs = ReferenceEvaluator(model).run(None, {"x": values})
    assert isinstance(outputs, list)
    return np.asarray(outputs[0])


def some_ranges(folded: Network) -> ConvRanges:
    convolutions = [
        name for name, module in folded.named_modules() if isinstance(module, nn.Conv2d) and "attention" not in name
    ]
    inputs = {name: 4.0 + number for number, name in enumerate(convolutions)}
    return ConvRanges(inputs, {name: 3.0 for name in convolutions if name.endswith("shortcut")})


@torch.inference_mode()
def logits(network: nn.Module, images: np.ndarray) -> np.ndarray:
    return np.asarray(network.eval()(normalize(to_rgb(images))))


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """Runs the operators as written, without ONNX Runtime's optimizations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"images": images})[0])
