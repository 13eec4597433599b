"""Keeps OpenVINO's INT8 correct on CPUs without VNNI, where sums of products overflow.

SSE and AVX2 multiply unsigned by signed bytes and add two products with 16-bit saturation (x86 `vpmaddubsw`; oneDNN,
"Nuances of int8 computations"): 255 * 127 * 2 exceeds 32,767. There is no error; labels are silently wrong. With 7-bit
weights no pair overflows: 255 * 64 * 2 = 32,640.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ssr_edge.runners.openvino.core import openvino_core

if TYPE_CHECKING:
    import onnx

# Shape of a convolution for which OpenVINO selects the same kind of kernel as for the network's.
_CHANNELS, _SIZE = 64, 8
_WRONG = 0.02


@lru_cache(maxsize=1)
def int8_saturates() -> bool:
    """Whether OpenVINO's INT8 convolutions overflow on this CPU. Runs one; the CPU name is not reliable.

    x86 CPUs with AVX-VNNI or AVX-512 VNNI are not affected, nor are ARM CPUs.
    """
    core = openvino_core()
    compiled = core.compile_model(core.read_model(_probe().SerializeToString()), "CPU")
    # Quantized values of 127 and -127: with 8-bit weights every pair of products is maximal.
    signs = np.where(np.arange(_SIZE * _SIZE).reshape(1, 1, _SIZE, _SIZE) % 3, 1, -1)
    images = np.broadcast_to(signs, (1, _CHANNELS, _SIZE, _SIZE)).astype(np.float32)
    found = compiled({0: images})[0]
    return bool(np.abs(found / (_CHANNELS * images) - 1).max() > _WRONG)


def seven_bit_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy of a Q/DQ model with int8 weights in [-64, 64] and doubled scales.

    Ties round to even, so that halving does not shift a channel's mean.
    """
    import onnx
    from onnx import numpy_helper

    narrowed = onnx.ModelProto()
    narrowed.CopyFrom(model)
    constants = {initializer.name: initializer for initializer in narrowed.graph.initializer}
    for node in narrowed.graph.node:
        # Activations are dequantized too, but their input is not a constant.
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            weight, scale = constants[node.input[0]], constants[node.input[1]]
            halves = np.rint(numpy_helper.to_array(weight) / 2).astype(np.int8)
            weight.CopyFrom(numpy_helper.from_array(halves, weight.name))
            scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * 2, scale.name))
    return narrowed


def _probe() -> onnx.ModelProto:
    """A 1x1 convolution of float32 [1, C, S, S] that sums the channels, with int8 activations and weights."""
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, value: object, dtype: type) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(value, dtype), name)

    shape = [1, _CHANNELS, _SIZE, _SIZE]
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["x_q"]),
            helper.make_node("DequantizeLinear", ["x_q", "step", "zero"], ["x_dq"]),
            helper.make_node("DequantizeLinear", ["w_int8", "w_step", "w_zero"], ["w"], axis=0),
            helper.make_node("Conv", ["x_dq", "w"], ["y"]),
        ],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [
            constant("step", 1 / 127, np.float32),
            constant("zero", 0, np.int8),
            constant("w_int8", np.full((_CHANNELS, _CHANNELS, 1, 1), 127), np.int8),
            constant("w_step", np.full(_CHANNELS, 1 / 127), np.float32),
            constant("w_zero", np.zeros(_CHANNELS), np.int8),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
