"""Rejects quantized ONNX files that a runtime would reject late or compute incorrectly, before anything is built."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from ssr_edge.common.errors import BuildError

_ALLOWED = {TensorProto.INT8}
_OPERATOR_ORIENTED = {"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"}


def check_qdq(model: onnx.ModelProto) -> None:
    """Checks all quantization of a model: int8 with zero point 0, none on biases, Q/DQ instead of QLinear nodes.

    Raises:
        BuildError: names the first node that breaks a rule and the reason for the rule.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in _OPERATOR_ORIENTED:
            raise _rejected(node, f"is a {node.op_type}", "TensorRT accepts quantization only as Q/DQ pairs")
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            _check_node(node, constants)


def _check_node(node: onnx.NodeProto, constants: dict[str, TensorProto]) -> None:
    kind = _integer_type(node, constants)
    if kind == TensorProto.INT32:
        raise _rejected(node, "dequantizes an int32 bias", "TensorRT rejects it; biases stay in floating point")
    if kind == TensorProto.UINT8:
        raise _rejected(
            node,
            "quantizes to uint8",
            "TensorRT builds it with a warning but computes wrong results",
        )
    if kind not in _ALLOWED:
        raise _rejected(node, f"quantizes to {TensorProto.DataType.Name(kind).lower()}", "only int8 runs everywhere")
    if len(node.input) > 2 and node.input[2] in constants and np.any(numpy_helper.to_array(constants[node.input[2]])):
        raise _rejected(node, "has a zero point other than 0", "TensorRT's INT8 is symmetric")


def _integer_type(node: onnx.NodeProto, constants: dict[str, TensorProto]) -> int:
    if len(node.input) > 2 and node.input[2] in constants:
        return constants[node.input[2]].data_type
    if node.op_type == "DequantizeLinear":
        # Without a zero point, the values have the type; for activations, the QuantizeLinear node determines it.
        return constants[node.input[0]].data_type if node.input[0] in constants else TensorProto.INT8
    asked = next((attribute.i for attribute in node.attribute if attribute.name == "output_dtype"), 0)
    return asked or TensorProto.UINT8  # ONNX's default if neither is given


def _rejected(node: onnx.NodeProto, what: str, why: str) -> BuildError:
    return BuildError(
        f"node {node.name or node.output[0]!r} {what}: {why}",
        expected="symmetric int8 Q/DQ, zero point 0, float biases",
        next_step="ssr-edge build-engine CHECKPOINT  (writes such Q/DQ)",
    )
