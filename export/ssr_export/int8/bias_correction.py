"""Bias correction: removes the mean error that rounding and clipping cause in the output of each convolution.

Nagel et al. 2019 (arXiv 1906.04721), section 4.2, with calibration images instead of BatchNorm statistics. A
convolution is linear, so its mean output is its kernel times the mean input of each kernel weight, including the zero
padding at the borders. Only that mean has to be stored per activation, regardless of the number of images.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from ssr_edge.bundle.manifest import QMAX
from ssr_edge.machine.environment import usable_cores
from ssr_export.int8.activations import stream_activations
from ssr_export.int8.quantize import is_quantized_conv, quantize_weight

Map = npt.NDArray[np.float64]
Sum = npt.NDArray[np.floating[Any]]


def bias_errors(model: Path, ranges: Mapping[str, float], images: Sequence[Path]) -> dict[str, list[float]]:
    """The amount that `quantize` subtracts from each bias, so that the mean output over `images` matches FP32.

    Bias of a quantized convolution of `model` -> mean error [O] of its output given the FP32 input, so that the
    correction of one convolution does not depend on any other.

    Raises:
        ExportError: no image can be read.
    """
    graph = onnx.load(model).graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    readers: dict[str, list[ConvInputs]] = defaultdict(list)
    for node in graph.node:
        # The exporter omits a bias that is all zeros, so there is nothing to correct.
        if is_quantized_conv(node) and len(node.input) > 2:
            readers[node.input[0]].append(ConvInputs(node, numpy_helper.to_array(weights[node.input[1]])))

    def add(tensor: str, values: npt.NDArray[np.float32]) -> None:
        scale = np.float32(ranges[tensor] / QMAX)
        exact = values.sum(0)  # of a small batch: FP32 is accurate enough
        # In place, because these are the largest arrays.
        values /= scale
        np.rint(values, out=values)
        np.clip(values, -QMAX - 1, QMAX, out=values)
        quantized = values.sum(0)
        quantized *= scale
        for reader in readers[tensor]:
            reader.add(exact, quantized, len(values))

    with ThreadPoolExecutor(usable_cores()) as pool:
        for activations in stream_activations(model, images, "correcting biases"):
            read = [tensor for tensor in activations if tensor in readers]
            list(pool.map(add, read, [activations[tensor] for tensor in read]))
    # An FP32 bias has seven significant digits.
    return {
        reader.bias: [float(f"{error:.7g}") for error in reader.mean_output_error()]
        for convolutions in readers.values()
        for reader in convolutions
    }


class ConvInputs:
    """The mean input of each kernel weight of a Conv node, in FP32 and after the Q/DQ pair.

    weight: the FP32 weight [O, C/g, h, w].
    """

    def __init__(self, node: onnx.NodeProto, weight: npt.NDArray[np.float32]) -> None:
        self.bias = node.input[2]
        self._settings: dict[str, Any] = {
            attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute
        }
        self._weight = weight
        # Sums over images of [C, h, w].
        self._exact: Map | float = 0.0
        self._quantized: Map | float = 0.0
        self._images = 0

    def add(self, exact: Sum, quantized: Sum, images: int) -> None:
        """Adds a batch, given as the sums of the convolution's input over its images: floats [C, H, W]."""
        self._exact = self._exact + self._mean_inputs(exact)
        self._quantized = self._quantized + self._mean_inputs(quantized)
        self._images += images

    def mean_output_error(self) -> Map:
        """Mean of the INT8 output minus the FP32 output per channel, [O]."""
        values, scale = quantize_weight(self._weight)
        rounded: Map = values.astype(np.float64) * scale.reshape(-1, 1, 1, 1)
        difference = _output(rounded, self._quantized) - _output(self._weight.astype(np.float64), self._exact)
        return difference / self._images

    def _mean_inputs(self, inputs: Sum) -> Map:
        top, left, bottom, right = self._settings.get("pads", (0, 0, 0, 0))
        down, across = self._settings.get("strides", (1, 1))
        height, width = self._weight.shape[2:]
        padded = np.pad(inputs, ((0, 0), (top, bottom), (left, right)))
        rows, columns = padded.shape[1] - height + 1, padded.shape[2] - width + 1
        means = [
            [
                padded[:, y : y + rows : down, x : x + columns : across].mean((1, 2), dtype=np.float64)
                for x in range(width)
            ]
            for y in range(height)
        ]
        result: Map = np.array(means).transpose(2, 0, 1)
        return result


def _output(weight: Map, means: Map | float) -> Map:
    """Kernel [O, C/g, h, w] times the mean inputs of its weights [C, h, w], per group: [O]."""
    groups = np.asarray(means).reshape(-1, *weight.shape[1:])
    result: Map = np.einsum("gocyx,gcyx->go", weight.reshape(len(groups), -1, *weight.shape[1:]), groups).ravel()
    return result
