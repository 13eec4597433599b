"""Writes INT8 as explicit Q/DQ that TensorRT 10 and 11, TensorRT for RTX, OpenVINO and ONNX Runtime all take.

The rules (docs/precision.md says why): weights int8 by output channel, activations int8 by tensor, both symmetric with
zero point 0; no Q/DQ on biases; the skip input of a residual addition is quantised; channel attention and the
classifier stay in floating point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ssr_edge.errors import ExportError

QMAX = 127


@dataclass(frozen=True)
class QuantizationPoint:
    """An activation to quantise. tensor: its name in the FP32 graph. consumer: a node that reads it, for tables."""

    tensor: str
    consumer: str


def quantization_points(model: onnx.ModelProto) -> list[QuantizationPoint]:
    """The activations that `quantize` needs a range for, in graph order, each once.

    They are the inputs of every convolution outside the attention, and the skip inputs of residual additions.
    """
    points: dict[str, QuantizationPoint] = {}
    for node in model.graph.node:
        if is_quantized_conv(node):
            points.setdefault(node.input[0], QuantizationPoint(node.input[0], node.name))
        elif (skip := _skip_input(model, node)) is not None:
            points.setdefault(skip, QuantizationPoint(skip, node.name))
    return list(points.values())


def quantize(model: onnx.ModelProto, ranges: Mapping[str, float]) -> onnx.ModelProto:
    """Returns a copy of an FP32 model with Q/DQ pairs.

    ranges: for each quantisation point, the magnitude that maps to 127; positive and finite.

    Raises:
        ExportError: a range is missing, zero, negative or not finite.
    """
    points = [point.tensor for point in quantization_points(model)]
    for tensor in points:
        if not (np.isfinite(ranges.get(tensor, np.nan)) and ranges[tensor] > 0):
            raise ExportError(
                f"activation {tensor!r} has the range {ranges.get(tensor)}",
                expected="a positive, finite range for each quantisation point",
                next_step="ssr-edge build-engine  (calibrates again)",
            )
    quantized = onnx.ModelProto()
    quantized.CopyFrom(model)
    graph = quantized.graph
    weights = {initializer.name: initializer for initializer in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    if graph.input[0].name in points:
        raise ExportError(
            "the image input can't be quantised", expected="a float activation", next_step="ssr-edge export"
        )
    for node in graph.node:
        skip = _skip_input(model, node)
        if is_quantized_conv(node):
            node.input[0] = f"{node.input[0]}_dq"
            nodes.append(_dequantize_weight(graph, weights[node.input[1]]))
            node.input[1] = nodes[-1].output[0]
        elif skip is not None:
            node.input[list(node.input).index(skip)] = f"{skip}_dq"
        nodes.append(node)
        for output in node.output:
            if output in points:
                nodes.extend(_quantize_dequantize(graph, output, ranges[output]))
    _replace(graph.node, nodes)
    onnx.checker.check_model(quantized)
    return quantized


def is_quantized_conv(node: onnx.NodeProto) -> bool:
    """Whether a node is a convolution that `quantize` makes INT8."""
    # Attention works on 1x1 maps: quantising it saves no time and costs accuracy.
    return node.op_type == "Conv" and ".attention." not in node.name


def _skip_input(model: onnx.ModelProto, node: onnx.NodeProto) -> str | None:
    """The shortcut input of a residual addition: the one that does not come from the block's last convolution."""
    if node.op_type != "Add":
        return None
    from_conv3 = [name for name in node.input if name in _conv3_outputs(model)]
    if len(from_conv3) != 1:
        return None
    return str(next(name for name in node.input if name not in from_conv3))


def _conv3_outputs(model: onnx.ModelProto) -> set[str]:
    return {node.output[0] for node in model.graph.node if node.op_type == "Conv" and node.name.endswith(".conv3")}


def quantize_weight(weight: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """float32 [out, ...] -> int8 of the same shape and float32 scales [out], so that q * scale is close to weight.

    A channel of zeros gets the scale 1, because a scale of 0 is not allowed.
    """
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scale = np.where(largest > 0, largest / QMAX, 1.0).astype(np.float32)
    shape = (-1,) + (1,) * (weight.ndim - 1)
    return np.clip(np.rint(weight / scale.reshape(shape)), -QMAX, QMAX).astype(np.int8), scale


def _dequantize_weight(graph: onnx.GraphProto, initializer: TensorProto) -> onnx.NodeProto:
    values, scale = quantize_weight(numpy_helper.to_array(initializer))
    name = initializer.name
    graph.initializer.remove(initializer)
    graph.initializer.append(numpy_helper.from_array(values, f"{name}_int8"))
    graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
    zero_points = numpy_helper.from_array(np.zeros(len(scale), np.int8), f"{name}_zero_point")
    graph.initializer.append(zero_points)
    return helper.make_node(
        "DequantizeLinear",
        [f"{name}_int8", f"{name}_scale", f"{name}_zero_point"],
        [f"{name}_dq"],
        name=f"{name}_dequantize",
        axis=0,
    )


def _quantize_dequantize(graph: onnx.GraphProto, tensor: str, largest: float) -> list[onnx.NodeProto]:
    graph.initializer.append(numpy_helper.from_array(np.float32(largest / QMAX), f"{tensor}_scale"))
    graph.initializer.append(numpy_helper.from_array(np.int8(0), f"{tensor}_zero_point"))
    parameters = [f"{tensor}_scale", f"{tensor}_zero_point"]
    return [
        helper.make_node("QuantizeLinear", [tensor, *parameters], [f"{tensor}_q"], name=f"{tensor}_quantize"),
        helper.make_node(
            "DequantizeLinear", [f"{tensor}_q", *parameters], [f"{tensor}_dq"], name=f"{tensor}_dequantize"
        ),
    ]


def _replace(repeated: object, nodes: list[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del repeated[:]  # type: ignore[attr-defined]
    repeated.extend(copies)  # type: ignore[attr-defined]
