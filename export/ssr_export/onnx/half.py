"""Converts an FP32 or INT8 model to FP16, for TensorRT, which takes the precision from the ONNX file."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ssr_edge.common.errors import ExportError

# Preprocessing stays in FP32; the output of its last node is the network's input.
_PREPROCESSING = ("Cast", "Transpose", "Sub", "Mul")
# Network outputs that are cast back to FP32; the softmax reads the first.
_OUTPUTS = ("logits", "cam")


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy whose network computes in FP16; preprocessing, softmax, inputs and outputs are unchanged.

    Q/DQ pairs still quantize to int8 and dequantize to FP16.

    Raises:
        ExportError: a weight is too large for FP16, or the model was not written by `ssr_export.onnx.to_onnx`.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    graph = half.graph
    boundary = _preprocessed(graph)
    kept = {name for node in graph.node[: len(_PREPROCESSING)] for name in node.input}
    converted = [_half_initializer(i) if i.name not in kept else i for i in graph.initializer]
    nodes = list(graph.node[: len(_PREPROCESSING)])
    nodes.append(helper.make_node("Cast", [boundary], [f"{boundary}_half"], name="to_half", to=TensorProto.FLOAT16))
    for node in graph.node[len(_PREPROCESSING) :]:
        for position, name in enumerate(node.input):
            if name == boundary:
                node.input[position] = f"{boundary}_half"
        if node.output[0] in _OUTPUTS:
            name = node.output[0]
            node.output[0] = f"{name}_half"
            nodes.append(node)
            node = helper.make_node("Cast", [f"{name}_half"], [name], name=f"{name}_to_float", to=TensorProto.FLOAT)
        nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    initializers = [TensorProto.FromString(tensor.SerializeToString()) for tensor in converted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(copies)
    graph.initializer.extend(initializers)
    onnx.checker.check_model(half, full_check=True)
    return half


def _preprocessed(graph: onnx.GraphProto) -> str:
    found = tuple(node.op_type for node in graph.node[: len(_PREPROCESSING)])
    if found != _PREPROCESSING:
        raise ExportError(
            f"the model starts with {', '.join(found)}",
            expected=f"the preprocessing: {', '.join(_PREPROCESSING)}",
            next_step="ssr-edge export CHECKPOINT",
        )
    return str(graph.node[len(_PREPROCESSING) - 1].output[0])


def _half_initializer(tensor: TensorProto) -> TensorProto:
    if tensor.data_type != TensorProto.FLOAT:
        return tensor
    with np.errstate(over="ignore"):
        values = numpy_helper.to_array(tensor).astype(np.float16)
    if tensor.name.endswith("_scale"):
        # A scale of zero is invalid; the channel is practically zero either way.
        values = np.maximum(values, np.finfo(np.float16).smallest_subnormal)
    if not np.isfinite(values).all():
        raise ExportError(
            f"{tensor.name} has values beyond 65504, the largest in FP16",
            expected="weights and biases within the range of FP16",
            next_step="ssr-edge build-engine --precision fp32 --precision int8",
        )
    return numpy_helper.from_array(values, tensor.name)
