"""Counts the cost of one image by block of the network: multiply-adds, and bytes moved.

Memory model: non-elementwise operations (convolutions, matrix products, pooling, means) read their inputs and weights
once and write their output once. Elementwise operations (ReLU, additions, scaling, Q/DQ, softmax) are fused into the
operation whose output they modify and add only their other inputs, such as the skip input of a residual addition or the
map scaled by channel attention. A tensor that is quantized anywhere is stored as int8. Nothing stays in cache between
operations.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from ssr_edge.bench.profile.blocks import graph_blocks

if TYPE_CHECKING:
    import onnx

ELEMENT_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}
# TensorProto.UINT8 and TensorProto.INT8.
_BYTE_TYPES = (2, 3)
_PRODUCTS = ("Conv", "Gemm", "MatMul")
# Non-elementwise operations: their outputs depend on more than one position of the input.
_PASSES = (*_PRODUCTS, "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceSum")


@dataclass(frozen=True)
class BlockCost:
    """Cost of one block for one image. multiply_adds: by compute precision. Bytes: read and written."""

    block: str
    multiply_adds: dict[str, int]
    weight_bytes: int
    activation_bytes: int

    @property
    def operations(self) -> int:
        """Multiply-adds in all precisions."""
        return sum(self.multiply_adds.values())

    @property
    def bytes(self) -> int:
        """Bytes moved: weights and activations."""
        return self.weight_bytes + self.activation_bytes


@dataclass
class _Pass:
    """A non-elementwise operation with the elementwise ones fused into it. reads: tensors; written: the last output."""

    block: str
    written: str
    reads: list[str]
    weights: list[str] = field(default_factory=list)
    multiply_adds: int = 0
    quantized: bool = False


def network_cost(path: Path, precision: str) -> list[BlockCost]:
    """Cost of a bundle's model at batch 1, by block in graph order.

    path: the ONNX file of the precision (`bundle.model_file`). precision: one of manifest.PRECISIONS. In an int8 file,
    nodes without Q/DQ on their weights (float blocks, attention, classifier) count as fp32. Without known node names
    everything is `other`; a tensor whose shape ONNX can't infer counts as empty.
    """
    import onnx

    graph = _Graph(onnx.load(path), "fp32" if precision == "int8" else precision)
    return graph.costs()


class _Graph:
    """A model with its tensor shapes at batch 1. floating: precision of tensors that are not quantized."""

    def __init__(self, model: onnx.ModelProto, floating: str) -> None:
        self._nodes, self._blocks, self._floating = model.graph.node, graph_blocks(model), floating
        self._shapes = _shapes(model)
        self._constants = {tensor.name for tensor in model.graph.initializer}
        # Tensors with one byte per element: quantized ones, and pixels.
        self._bytes = {value.name for value in model.graph.input if value.type.tensor_type.elem_type in _BYTE_TYPES}
        for node in self._nodes:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                self._bytes.update((node.input[0], node.output[0]))
            # Q/DQ of a weight produces another weight.
            if self._constants.issuperset(node.input):
                self._constants.update(node.output)

    def costs(self) -> list[BlockCost]:
        """Costs by block, in the order of their first operation."""
        multiply_adds: dict[str, dict[str, int]] = {}
        weights: dict[str, int] = defaultdict(int)
        activations: dict[str, int] = defaultdict(int)
        for step in self._passes():
            done = multiply_adds.setdefault(step.block, {})
            if step.multiply_adds:
                precision = "int8" if step.quantized else self._floating
                done[precision] = done.get(precision, 0) + step.multiply_adds
            weights[step.block] += sum(map(self._size, step.weights))
            activations[step.block] += sum(map(self._size, [*step.reads, step.written]))
        return [BlockCost(block, done, weights[block], activations[block]) for block, done in multiply_adds.items()]

    def _passes(self) -> list[_Pass]:
        passes: list[_Pass] = []
        made_in: dict[str, int] = {}
        for node in self._nodes:
            if self._constants.issuperset(node.output):
                continue
            operands = [name for name in node.input if name and name not in self._constants]
            newest = max((made_in[name] for name in operands if name in made_in), default=None)
            if newest is None or node.op_type in _PASSES:
                newest = len(passes)
                passes.append(self._new_pass(node, operands))
            else:
                passes[newest].reads += [name for name in operands if made_in.get(name) != newest]
                passes[newest].written = node.output[0]
            made_in |= dict.fromkeys(node.output, newest)
        return passes

    def _new_pass(self, node: onnx.NodeProto, operands: list[str]) -> _Pass:
        step = _Pass(self._blocks[node.output[0]], node.output[0], operands)
        if node.op_type in _PRODUCTS:
            step.weights = [name for name in node.input if name in self._constants]
            step.quantized = not self._bytes.isdisjoint(step.weights)
            step.multiply_adds = self._multiply_adds(node)
        return step

    def _multiply_adds(self, node: onnx.NodeProto) -> int:
        outputs = prod(self._shapes.get(node.output[0], (0,)))
        if node.op_type == "Conv":
            # [out, in / groups, height, width]
            return outputs * prod(self._shapes.get(node.input[1], (0,))[1:])
        transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return outputs * self._shapes.get(node.input[0], (0,))[0 if transposed else -1]

    def _size(self, tensor: str) -> int:
        element = 1 if tensor in self._bytes else ELEMENT_BYTES[self._floating]
        return prod(self._shapes.get(tensor, (0,))) * element


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes by tensor at batch 1; incompletely known shapes are missing."""
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in (*fixed.graph.input, *fixed.graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_value = 1
    graph = onnx.shape_inference.infer_shapes(fixed).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        sizes = value.type.tensor_type.shape.dim
        if all(size.HasField("dim_value") for size in sizes):
            shapes[value.name] = tuple(size.dim_value for size in sizes)
    return shapes
