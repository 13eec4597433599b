"""Refuses quantized ONNX files that a runtime would refuse late, or run and get wrong, before anything is built."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from ssr_edge.common.errors import BuildError

_ALLOWED = {TensorProto.INT8}
_OPERATOR_ORIENTED = {"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"}


def check_qdq(model: onnx.ModelProto) -> None:
    """Checks every quantization of a model: int8 with zero point 0, nothing on biases, Q/DQ instead of QLinear nodes.

    Raises:
        BuildError: names the first node that breaks a rule, and why the rule is there.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in _OPERATOR_ORIENTED:
            raise _refused(node, f"is a {node.op_type}", "TensorRT reads quantization as Q/DQ pairs only")
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            _check_node(node, constants)


def _check_node(node: onnx.NodeProto, constants: dict[str, TensorProto]) -> None:
    kind = _integer_type(node, constants)
    if kind == TensorProto.INT32:
        raise _refused(node, "dequantizes an int32 bias", "TensorRT's parser refuses it; biases stay in floating point")
    if kind == TensorProto.UINT8:
        raise _refused(
            node,
            "quantizes to uint8",
            "TensorRT builds it with a warning and computes wrong results (facts: top-1 fell)",
        )
    if kind not in _ALLOWED:
        raise _refused(node, f"quantizes to {TensorProto.DataType.Name(kind).lower()}", "only int8 runs everywhere")
    if len(node.input) > 2 and node.input[2] in constants and np.any(numpy_helper.to_array(constants[node.input[2]])):
        raise _refused(node, "has a zero point other than 0", "TensorRT's INT8 is symmetric")


def _integer_type(node: onnx.NodeProto, constants: dict[str, TensorProto]) -> int:
    if len(node.input) > 2 and node.input[2] in constants:
        return constants[node.input[2]].data_type
    if node.op_type == "DequantizeLinear":
        # Without a zero point the type is that of the values; of an activation, that of its QuantizeLinear.
        return constants[node.input[0]].data_type if node.input[0] in constants else TensorProto.INT8
    asked = next((attribute.i for attribute in node.attribute if attribute.name == "output_dtype"), 0)
    return asked or TensorProto.UINT8  # ONNX's default where neither says


def _refused(node: onnx.NodeProto, what: str, why: str) -> BuildError:
    return BuildError(
        f"node {node.name or node.output[0]!r} {what}: {why}",
        expected="symmetric int8 Q/DQ, zero point 0, float biases",
        next_step="ssr-edge build-engine  (writes such Q/DQ from a checkpoint)",
    )
