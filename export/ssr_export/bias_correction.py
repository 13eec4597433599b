"""Bias correction: takes back the mean error that rounding and clipping leave in each convolution's output.

Nagel et al. 2019 (arXiv 1906.04721), section 4.2, from calibration images instead of BatchNorm's statistics. A
convolution is linear, so the mean of its outputs is its output on the mean input, zero padding at the borders included:
one mean map of an activation is all that has to be kept, however many images there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from ssr_export.activations import stream_activations
from ssr_export.quantize import QMAX, is_quantized_conv, quantize_weight

Map = npt.NDArray[np.float64]


@dataclass
class MeanMaps:
    """Mean input of a convolution over images, [C, H, W]: as FP32 has it, and after its Q/DQ pair."""

    exact: Map
    quantized: Map


def bias_errors(model: Path, ranges: Mapping[str, float], images: Sequence[Path]) -> dict[str, list[float]]:
    """What `quantize` has to take off each bias so that a convolution's mean output over `images` is FP32's.

    For each bias of a quantised convolution of `model`, the mean error [O] of its output given FP32's input, so that
    one convolution's correction depends on no other's.

    Raises:
        ExportError: no image can be read.
    """
    maps = mean_maps(model, ranges, images)
    graph = onnx.load(model).graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    errors = {}
    for node in graph.node:
        if is_quantized_conv(node):
            error = mean_output_error(node, numpy_helper.to_array(weights[node.input[1]]), maps[node.input[0]])
            # Seven digits are what the FP32 bias can hold.
            errors[node.input[2]] = [float(f"{value:.7g}") for value in error]
    return errors


def mean_maps(model: Path, ranges: Mapping[str, float], images: Sequence[Path]) -> dict[str, MeanMaps]:
    """Mean map of each quantisation point over image files."""
    sums: dict[str, MeanMaps] = {}
    count = 0
    for activations in stream_activations(model, images, "correcting biases"):
        for tensor, values in activations.items():
            scale = np.float32(ranges[tensor] / QMAX)
            rounded = np.clip(np.rint(values / scale), -QMAX - 1, QMAX) * scale
            exact, quantized = values.sum(0, dtype=np.float64), rounded.sum(0, dtype=np.float64)
            if tensor in sums:
                sums[tensor].exact += exact
                sums[tensor].quantized += quantized
            else:
                sums[tensor] = MeanMaps(exact, quantized)
        count += len(values)
    return {tensor: MeanMaps(total.exact / count, total.quantized / count) for tensor, total in sums.items()}


def mean_output_error(node: onnx.NodeProto, weight: npt.NDArray[np.float32], maps: MeanMaps) -> Map:
    """Mean of INT8's output less FP32's for each channel [O] of a Conv node; weight: its FP32 weight [O, C/g, h, w]."""
    values, scale = quantize_weight(weight)
    rounded: Map = values.astype(np.float64) * scale.reshape(-1, 1, 1, 1)
    return _mean_output(node, rounded, maps.quantized) - _mean_output(node, weight.astype(np.float64), maps.exact)


def _mean_output(node: onnx.NodeProto, weight: Map, mean_input: Map) -> Map:
    settings: dict[str, Any] = {
        attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute
    }
    top, left, bottom, right = settings.get("pads", (0, 0, 0, 0))
    down, across = settings.get("strides", (1, 1))
    _, inputs, height, width = weight.shape
    padded = np.pad(mean_input, ((0, 0), (top, bottom), (left, right)))
    rows, columns = padded.shape[1] - height + 1, padded.shape[2] - width + 1
    # What each weight of the kernel meets on average, [C, h, w]: the mean output is its product with the kernel.
    met = np.array(
        [
            [padded[:, y : y + rows : down, x : x + columns : across].mean((1, 2)) for x in range(width)]
            for y in range(height)
        ]
    )
    groups = met.transpose(2, 0, 1).reshape(-1, inputs, height, width)
    result: Map = np.einsum("gocyx,gcyx->go", weight.reshape(len(groups), -1, inputs, height, width), groups).ravel()
    return result
