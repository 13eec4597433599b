"""Writes INT8 as explicit Q/DQ that TensorRT 10 and 11, TensorRT for RTX, OpenVINO and ONNX Runtime all accept.

The rules (docs/precision.md has the reasons): weights are int8 per output channel, activations int8 per tensor, both
symmetric with zero point 0; no Q/DQ on biases; the skip input of a residual addition is quantized; channel attention,
the classifier and the given float blocks stay in floating point.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ssr_edge.bundle.manifest import QMAX
from ssr_edge.common.errors import ExportError
from ssr_export.onnx.blocks import block_of

# Bias of a quantized convolution -> mean error [O] to subtract from it; see `ssr_export.int8.bias_correction`.
BiasErrors = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class QuantizationPoint:
    """An activation to quantize. tensor: its name in the FP32 graph. consumer: a node that reads it, for reports."""

    tensor: str
    consumer: str


def block_names(model: onnx.ModelProto) -> list[str]:
    """The blocks that can be kept in floating point, in graph order: `stem`, `stages.0.blocks.0` ..."""
    return list(dict.fromkeys(block_of(node.name) for node in model.graph.node if is_quantized_conv(node, ())))


def quantization_points(model: onnx.ModelProto, float_blocks: Collection[str] = ()) -> list[QuantizationPoint]:
    """The activations that `quantize` needs a range for, in graph order, without duplicates.

    These are the inputs of all convolutions outside the attention and the skip inputs of residual additions, except
    in `float_blocks`.
    """
    points: dict[str, QuantizationPoint] = {}
    for node in model.graph.node:
        if is_quantized_conv(node, float_blocks):
            points.setdefault(node.input[0], QuantizationPoint(node.input[0], node.name))
        elif (skip := _skip_input(model, node, float_blocks)) is not None:
            points.setdefault(skip, QuantizationPoint(skip, node.name))
    return list(points.values())


def quantize(
    model: onnx.ModelProto,
    ranges: Mapping[str, float],
    float_blocks: Collection[str] = (),
    bias_errors: BiasErrors | None = None,
    *,
    weights: bool = True,
    activations: bool = True,
) -> onnx.ModelProto:
    """Returns a copy of an FP32 model with Q/DQ pairs.

    ranges: for each quantization point, the magnitude that maps to 127; positive and finite. float_blocks: names from
    `block_names` whose convolutions and addition stay in floating point. bias_errors: subtracted from the biases of
    quantized convolutions. weights, activations: if false, these stay in floating point, to measure the error of the
    others alone.

    Raises:
        ExportError: a range is missing, zero, negative or not finite.
    """
    points = [point.tensor for point in quantization_points(model, float_blocks)]
    for tensor in points:
        if not (np.isfinite(ranges.get(tensor, np.nan)) and ranges[tensor] > 0):
            raise ExportError(
                f"activation {tensor!r} has the range {ranges.get(tensor)}",
                expected="a positive, finite range for each quantization point",
                next_step="ssr-edge build-engine  (calibrates again)",
            )
    quantized = onnx.ModelProto()
    quantized.CopyFrom(model)
    graph = quantized.graph
    constants = {initializer.name: initializer for initializer in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    if graph.input[0].name in points:
        raise ExportError(
            "the image input can't be quantized", expected="a float activation", next_step="ssr-edge export"
        )
    for node in graph.node:
        skip = _skip_input(model, node, float_blocks)
        if is_quantized_conv(node, float_blocks) and activations:
            node.input[0] = f"{node.input[0]}_dq"
        if is_quantized_conv(node, float_blocks) and weights:
            nodes.append(_dequantize_weight(graph, constants[node.input[1]]))
            node.input[1] = nodes[-1].output[0]
        if is_quantized_conv(node, float_blocks) and bias_errors and len(node.input) > 2:
            _subtract(constants[node.input[2]], bias_errors[node.input[2]])
        if skip is not None and activations:
            node.input[list(node.input).index(skip)] = f"{skip}_dq"
        nodes.append(node)
        for output in node.output:
            if output in points and activations:
                nodes.extend(_quantize_dequantize(graph, output, ranges[output]))
    _replace(graph.node, nodes)
    onnx.checker.check_model(quantized)
    return quantized


def is_quantized_conv(node: onnx.NodeProto, float_blocks: Collection[str] = ()) -> bool:
    """Whether a node is a convolution whose input and weight are quantized."""
    # Attention works on 1x1 maps: quantizing it saves no time and reduces accuracy.
    return node.op_type == "Conv" and ".attention." not in node.name and block_of(node.name) not in float_blocks


def _skip_input(model: onnx.ModelProto, node: onnx.NodeProto, float_blocks: Collection[str]) -> str | None:
    """The shortcut input of a residual addition: the input that the block's last convolution does not produce."""
    if node.op_type != "Add":
        return None
    conv3 = _conv3_by_output(model)
    from_conv3 = [name for name in node.input if name in conv3]
    if len(from_conv3) != 1 or block_of(conv3[from_conv3[0]]) in float_blocks:
        return None
    return str(next(name for name in node.input if name not in from_conv3))


def _conv3_by_output(model: onnx.ModelProto) -> dict[str, str]:
    convolutions = [n for n in model.graph.node if n.op_type == "Conv" and n.name.endswith(".conv3")]
    return {node.output[0]: node.name for node in convolutions}


def quantize_weight(weight: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """float32 [out, ...] -> int8 of the same shape and float32 scales [out], so that q * scale approximates weight.

    A channel of zeros gets scale 1, because a scale of 0 is invalid.
    """
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scale = (largest / QMAX).astype(np.float32)
    scale[scale == 0] = 1
    shape = (-1,) + (1,) * (weight.ndim - 1)
    return np.clip(np.rint(weight / scale.reshape(shape)), -QMAX, QMAX).astype(np.int8), scale


def _subtract(bias: TensorProto, error: Sequence[float]) -> None:
    corrected = numpy_helper.to_array(bias) - np.asarray(error, np.float32)
    bias.CopyFrom(numpy_helper.from_array(corrected, bias.name))


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
