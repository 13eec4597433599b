"""Finds the network's blocks in its ONNX graph and extracts them, to run each alone on its true input."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from ssr_edge.bench.profile.blocks import named_block
from ssr_edge.common.errors import ExportError

STEM = "stem"
# BHCNet's blocks have four convolutions, BatchNorm and ReLU before the first, and no ReLU after the addition.
_LAST_CONV = ("conv4", "conv3")


@dataclass(frozen=True)
class GraphBlock:
    """A block of the FP32 graph. name: e.g. `stem` or `stages.1.blocks.0`. source, target: its input and output tensor.

    nodes: the names of all its nodes.
    """

    name: str
    source: str
    target: str
    nodes: frozenset[str]


def block_of(node: str) -> str:
    """The block that a node belongs to, by name: `stem`, `stages.1.blocks.0`; a node outside any block is its own."""
    return named_block(node) or node


def find_blocks(model: onnx.ModelProto) -> list[GraphBlock]:
    """The stem (up to its ReLU) and every residual block, in graph order.

    model: the FP32 model of `ssr_export.onnx.to_onnx`.

    Raises:
        ExportError: the blocks are not as `ssr_export.onnx.to_onnx` writes them.
    """
    blocks = []
    for node in model.graph.node:
        if node.name == STEM:
            blocks.append(_block(model, STEM, node.input[0], _after(model, node.output[0], "Relu")))
        elif node.name == f"{block_of(node.name)}.conv1":
            blocks.append(_residual_block(model, block_of(node.name), node))
    return blocks


def cut(model: onnx.ModelProto, sources: Collection[str], targets: Collection[str]) -> onnx.ModelProto:
    """Extracts the nodes between tensors of `model`, all float32, as a model of their own.

    sources: tensors that become inputs, renamed to `given(source)` because a tensor may be the input of one block and
    the output of another. targets: tensors that become outputs; each must depend on the sources only.
    """
    nodes = []
    for node in _between(model, sources, targets):
        copy = onnx.NodeProto.FromString(node.SerializeToString())
        for position, name in enumerate(copy.input):
            if name in sources:
                copy.input[position] = given(name)
        nodes.append(copy)
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "blocks",
        [helper.make_tensor_value_info(given(name), TensorProto.FLOAT, None) for name in sources],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in targets],
        [tensor for tensor in model.graph.initializer if tensor.name in used],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def given(tensor: str) -> str:
    """Name of the graph input that replaces a tensor in `cut`."""
    return f"{tensor}_given"


def _residual_block(model: onnx.ModelProto, name: str, conv1: onnx.NodeProto) -> GraphBlock:
    nodes = {node.name: node for node in model.graph.node}
    makers = {output: node for node in model.graph.node for output in node.output}
    last = next(nodes[f"{name}.{conv}"] for conv in _LAST_CONV if f"{name}.{conv}" in nodes)
    if last.name.endswith("conv3"):
        return _block(model, name, conv1.input[0], _after(model, _after(model, last.output[0], "Add"), "Relu"))
    relu = makers[conv1.input[0]]
    normalized = makers[relu.input[0]]
    source = normalized.input[0] if normalized.op_type == "BatchNormalization" else conv1.input[0]
    return _block(model, name, source, _after(model, _after(model, last.output[0], "Mul"), "Add"))


def _block(model: onnx.ModelProto, name: str, source: str, target: str) -> GraphBlock:
    return GraphBlock(name, source, target, frozenset(node.name for node in _between(model, [source], [target])))


def _between(model: onnx.ModelProto, sources: Collection[str], targets: Iterable[str]) -> list[onnx.NodeProto]:
    needed, nodes = set(targets), []
    for node in reversed(model.graph.node):  # nodes are in topological order, so one pass finds all
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(name for name in node.input if name not in sources)
    return nodes[::-1]


def _after(model: onnx.ModelProto, tensor: str, kind: str) -> str:
    """Output of the node of type `kind` that reads a tensor."""
    for node in model.graph.node:
        if node.op_type == kind and tensor in node.input:
            return str(node.output[0])
    raise ExportError(
        f"no {kind} follows {tensor!r}",
        expected="a model.fp32.onnx written by ssr-edge, with blocks that end in Add and Relu",
        next_step="ssr-edge export CHECKPOINT",
    )
