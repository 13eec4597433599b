"""Maps graph nodes and runtime layers to blocks of the network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

# Nodes before the first named block.
PREPROCESSING = "preprocessing"
# Runtime layers that only change a layout or a type, and layers that can't be assigned.
CONVERSIONS, OTHER = "conversions", "other"
_NAMED = re.compile(r"(?<![A-Za-z0-9])(stem|stages\.\d+\.blocks\.\d+|classifier)(?![A-Za-z0-9])")
_CONVERSION = re.compile(r"reorder|convert|reformat|copynode", re.IGNORECASE)
_WORD = re.compile(r"[\w./]+")


def named_block(name: str) -> str | None:
    """The block in a name: `stem`, `stages.0.blocks.1`, `classifier`; the last of several, or None.

    For a conversion named after the layers on both sides, the last one is the block that needs it.
    """
    found = _NAMED.findall(name)
    return str(found[-1]) if found else None


def network_order(block: str) -> tuple[int, ...]:
    """Sort key: order in which an image passes the blocks; layers outside any block come last."""
    if block.startswith("stages"):
        return (2, *map(int, re.findall(r"\d+", block)))
    return ({PREPROCESSING: 0, "stem": 1, "classifier": 3, CONVERSIONS: 4}.get(block, 5),)


def graph_blocks(model: onnx.ModelProto) -> dict[str, str]:
    """Block of each node and of each tensor a node produces, by name, in graph order.

    A node without a block in its name belongs to the block that produced its latest input: a ReLU to its convolution,
    a residual addition to the block it ends. If no node has a known name, everything is `other`.
    """
    nodes = model.graph.node
    before = PREPROCESSING if any(named_block(node.name) for node in nodes) else OTHER
    made_by: dict[str, int] = {}
    by_node: list[str] = []
    blocks: dict[str, str] = {}
    for number, node in enumerate(nodes):
        newest = max((made_by[name] for name in node.input if name in made_by), default=None)
        block = named_block(node.name) or (before if newest is None else by_node[newest])
        by_node.append(block)
        made_by |= dict.fromkeys(node.output, number)
        blocks |= dict.fromkeys((name for name in (node.name, *node.output) if name), block)
    return blocks


def block_of(layer: str, known: Mapping[str, str], kind: str = "") -> str:
    """Block of a runtime's layer; `conversions` or `other` if its name contains none.

    layer: an ONNX name, several joined in any way, or one with a suffix (`relu_1_nchwc`).
    known: from `graph_blocks`. kind: layer type as the runtime reports it.
    """
    named = named_block(layer)
    if named is not None:
        return named
    found = [block for word in _WORD.findall(layer) if (block := _known_block(word, known)) is not None]
    if found:
        return found[-1]
    return CONVERSIONS if _CONVERSION.search(f"{layer} {kind}") else OTHER


def _known_block(word: str, known: Mapping[str, str]) -> str | None:
    """Block of the known name that a word starts with. A trailing number is part of the name, not a suffix."""
    while word not in known:
        word, _, last = word.rpartition("_")
        if not word or last.isdigit():
            return None
    return known[word]
