"""INT8 error by block: the values match an independent computation and identify the block that causes the error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch.nn import functional as F

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.histograms import read_histogram
from ssr_edge.bundle.int8_report import worst_first
from ssr_edge.bundle.manifest import QMAX, QuantizationReport
from ssr_edge.common.errors import ExportError
from ssr_edge.images.preprocess import MEAN_BGR, STD_BGR, load
from ssr_export.folding.fold import fold
from ssr_export.int8.calibrate import collect_histograms
from ssr_export.int8.quantize import quantize, quantize_weight
from ssr_export.int8.ranges import choose_range
from ssr_export.onnx.to_onnx import export_onnx
from ssr_export.report.block_error import measure_quantization
from ssr_train.models.network import SSResNeXt

TINY = "ssresnext14_8x4d"


@pytest.fixture(scope="module")
def images(calibration_images: list[Path]) -> np.ndarray:
    return np.stack([load(path) for path in calibration_images[:3]])


@pytest.fixture(scope="module")
def report(fp32: onnx.ModelProto, ranges: dict[str, float], images: np.ndarray) -> QuantizationReport:
    return measure_quantization(fp32, ranges, images)[0]


def normalized(images: np.ndarray) -> np.ndarray:
    """uint8 BGR [n, 224, 224, 3] -> the stem's input, float32 [n, 3, 224, 224], computed independently of the graph."""
    mean, deviation = np.array(MEAN_BGR), np.array(STD_BGR)
    return np.ascontiguousarray(((images / 255 - mean) / deviation).astype(np.float32).transpose(0, 3, 1, 2))


def test_the_stems_figures_are_those_of_a_direct_computation(
    fp32: onnx.ModelProto, ranges: dict[str, float], images: np.ndarray, report: QuantizationReport
) -> None:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in fp32.graph.initializer}
    weight, bias = constants["network.stem.weight"], constants["network.stem.bias"]
    stem = next(node for node in fp32.graph.node if node.name == "stem")
    x, step = normalized(images), ranges[stem.input[0]] / QMAX
    rounded = (np.clip(np.rint(x / step), -128, QMAX) * step).astype(np.float32)
    values, scales = quantize_weight(weight)
    coarse = values * scales[:, None, None, None]

    def output(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        y = F.conv2d(torch.from_numpy(x), torch.tensor(weight), torch.tensor(bias), stride=2, padding=3)
        return F.relu(y).numpy().astype(np.float64)

    exact = output(x, weight)
    found = report.blocks[0]
    assert found.block == "stem"
    for part, y in (
        (found.weights, output(x, coarse)),
        (found.activations, output(rounded, weight)),
        (found.both, output(rounded, coarse)),
    ):
        assert part.sqnr_db == pytest.approx(10 * np.log10((exact**2).sum() / ((y - exact) ** 2).sum()), abs=0.05)
        assert part.cosine == pytest.approx(
            (y * exact).sum() / np.linalg.norm(y.ravel()) / np.linalg.norm(exact.ravel()), abs=1e-6
        )


def test_both_together_are_worse_than_the_weights_alone(report: QuantizationReport) -> None:
    for error in (*report.blocks, report.logits):
        assert error.both.sqnr_db < error.weights.sqnr_db
        assert 20 < error.both.sqnr_db < 60
        assert 0.99 < error.both.cosine < 1


def test_a_blocks_error_holds_nothing_of_the_other_blocks(
    fp32: onnx.ModelProto, ranges: dict[str, float], images: np.ndarray, report: QuantizationReport
) -> None:
    spoiled = next(t for t in report.tensors if t.name == "stages.1.blocks.0.conv3.input")
    worse, _ = measure_quantization(fp32, ranges | {spoiled.tensor: 30 * spoiled.range}, images)
    for before, after in zip(report.blocks, worse.blocks, strict=True):
        if before.block == "stages.1.blocks.0":
            assert after.activations.sqnr_db < before.activations.sqnr_db - 6
            assert after.weights == before.weights
        else:
            assert after == before
    assert worse.logits.both.sqnr_db < report.logits.both.sqnr_db - 3
    assert worst_first(worse)[0].block == "stages.1.blocks.0"


# Stages where channel 0 of this network passes its ReLU: a dead channel would have no effect.
@pytest.mark.slow
@pytest.mark.parametrize("stage", [2, 3])
def test_a_batchnorm_of_tiny_variance_makes_its_block_the_worst(
    make_network: Callable[..., SSResNeXt], calibration_images: list[Path], tmp_path: Path, stage: int
) -> None:
    network = make_network(TINY)
    variance = network.get_submodule(f"stages.{stage}.blocks.0.bn1").running_var
    assert isinstance(variance, torch.Tensor)
    variance[0] = 1e-6  # folding scales this channel's weights, and so the tensor's range, by a factor of 1000
    model = tmp_path / "model.fp32.onnx"
    export_onnx(fold(network).float(), model)
    histograms = collect_histograms(model, calibration_images[:2])
    ranges = {tensor: choose_range(histogram, "percentile") for tensor, histogram in histograms.items()}
    images = np.stack([load(path) for path in calibration_images[:2]])
    report, _ = measure_quantization(onnx.load(model), ranges, images)
    worst, second = worst_first(report)[:2]
    assert worst.block == f"stages.{stage}.blocks.0"
    assert worst.both.sqnr_db < second.both.sqnr_db - 3
    weight = next(t for t in report.tensors if t.name == f"stages.{stage}.blocks.0.conv1.weight")
    assert weight.narrowest is not None
    assert weight.range > 100 * weight.narrowest


def test_ranges_and_clipped_values_are_counted(
    fp32: onnx.ModelProto, ranges: dict[str, float], images: np.ndarray, report: QuantizationReport
) -> None:
    x = np.abs(normalized(images))
    stem = next(tensor for tensor in report.tensors if tensor.name == "stem.input")
    assert (stem.block, stem.kind, stem.values) == ("stem", "activation", x.size)
    assert stem.largest == pytest.approx(x.max(), rel=1e-6)
    middle = float(np.median(x)) + 1e-4  # not a pixel value, so that rounding can't move one across
    halved, _ = measure_quantization(fp32, ranges | {stem.tensor: middle}, images)
    stem = next(tensor for tensor in halved.tensors if tensor.name == "stem.input")
    assert stem.range == middle
    assert stem.clipped == np.count_nonzero(x > middle)
    assert 0.4 < stem.clipped / stem.values <= 0.5


def test_every_quantized_tensor_is_recorded_under_a_name_with_its_place(
    fp32: onnx.ModelProto, ranges: dict[str, float], report: QuantizationReport
) -> None:
    activations = {tensor.tensor: tensor for tensor in report.tensors if tensor.kind == "activation"}
    assert {name: tensor.range for name, tensor in activations.items()} == ranges
    block = "stages.0.blocks.0"
    assert [tensor.name for tensor in report.tensors if tensor.block == block] == [
        f"{block}.conv1.input", f"{block}.spatial.input", f"{block}.conv3.input", f"{block}.shortcut.output",
        f"{block}.conv1.weight", f"{block}.spatial.weight", f"{block}.conv3.weight", f"{block}.shortcut.weight",
    ]  # fmt: skip
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in fp32.graph.initializer}
    for tensor in report.tensors:
        if tensor.kind == "weight":
            by_channel = np.abs(constants[tensor.tensor]).max(axis=(1, 2, 3))
            assert (tensor.narrowest, tensor.range) == (by_channel.min(), by_channel.max())
            assert tensor.clipped == 0


def test_histograms_hold_every_value_once(tiny_bundle: Bundle) -> None:
    report = tiny_bundle.manifest.quantization
    assert report is not None
    for tensor in report.tensors:
        histogram = read_histogram(tiny_bundle, tensor.name)
        assert sum(histogram.counts) == tensor.values
        assert tensor.largest <= histogram.limit
        counts = np.array(histogram.counts)
        lower = np.arange(len(counts)) * (histogram.limit / len(counts))
        upper = lower + histogram.limit / len(counts)
        # The bin that contains the range has both clipped and unclipped values.
        assert counts[lower >= tensor.range].sum() <= tensor.clipped <= counts[upper > tensor.range].sum()


def test_parts_that_are_off_stay_in_floating_point(fp32: onnx.ModelProto, ranges: dict[str, float]) -> None:
    def nodes(weights: bool = True, activations: bool = True) -> list[str]:
        quantized = quantize(fp32, ranges, weights=weights, activations=activations)
        return [node.op_type for node in quantized.graph.node]

    full, weights, activations = nodes(), nodes(activations=False), nodes(weights=False)
    assert weights.count("QuantizeLinear") == 0
    assert weights.count("DequantizeLinear") == full.count("Conv") - 2 * 4  # all except the attention's
    assert activations.count("QuantizeLinear") == activations.count("DequantizeLinear") == len(ranges)
    assert full.count("DequantizeLinear") == weights.count("DequantizeLinear") + len(ranges)


def test_an_activation_that_is_not_finite_is_refused_by_name(
    fp32: onnx.ModelProto, ranges: dict[str, float], images: np.ndarray
) -> None:
    broken = onnx.ModelProto()
    broken.CopyFrom(fp32)
    bias = next(tensor for tensor in broken.graph.initializer if tensor.name == "network.stem.bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(bias.dims, np.inf, np.float32), bias.name))
    with pytest.raises(ExportError, match=r"stages\.0\.blocks\.0\.conv1\.input.*not finite"):
        measure_quantization(broken, ranges, images)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(tiny_bundle: Bundle, calibration_images: list[Path]) -> None:
    program = (
        "import resource, sys, numpy, onnx; from pathlib import Path; from ssr_edge.images.preprocess import load\n"
        "from ssr_export.report.block_error import measure_quantization\n"
        "from ssr_export.int8.calibrate import read_calibration\n"
        "folder, repeat, *images = sys.argv[1:]\n"
        "pixels = numpy.stack([load(Path(p)) for p in images] * int(repeat))\n"
        "ranges = read_calibration(Path(folder, 'calibration.json')).ranges\n"
        "measure_quantization(onnx.load(Path(folder, 'model.fp32.onnx')), ranges, pixels)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )

    def peak(repeat: int) -> int:
        arguments = [str(tiny_bundle.path), str(repeat), *map(str, calibration_images[:4])]
        run = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
        return int(run.stdout)

    assert peak(10) < 1.1 * peak(1)
