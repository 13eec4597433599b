"""Says which block of the network a node of its graph, or a layer of a runtime, belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

# Of a network whose blocks have names: what comes before the first one.
PREPROCESSING = "preprocessing"
# Of a runtime: layers that only change a layout or a type, and those of which nothing is known.
CONVERSIONS, OTHER = "conversions", "other"
_NAMED = re.compile(r"(?<![A-Za-z0-9])(stem|stages\.\d+\.blocks\.\d+|classifier)(?![A-Za-z0-9])")
_CONVERSION = re.compile(r"reorder|convert|reformat|copynode", re.IGNORECASE)
_WORD = re.compile(r"[\w./]+")


def named_block(name: str) -> str | None:
    """The block that a name carries: `stem`, `stages.0.blocks.1`, `classifier`; the last of several, or None.

    Of a conversion named after the layers on both its sides that is the block which needs it.
    """
    found = _NAMED.findall(name)
    return str(found[-1]) if found else None


def network_order(block: str) -> tuple[int, ...]:
    """Sorts blocks as an image passes them; what belongs to none comes last."""
    if block.startswith("stages"):
        return (2, *map(int, re.findall(r"\d+", block)))
    return ({PREPROCESSING: 0, "stem": 1, "classifier": 3, CONVERSIONS: 4}.get(block, 5),)


def graph_blocks(model: onnx.ModelProto) -> dict[str, str]:
    """The block of each node and of each tensor that a node makes, by name, in graph order.

    A node without a block in its own name belongs where the newest of its inputs was made: a ReLU to its convolution,
    a residual addition to the block that it ends. Without any name known it is all `other`.
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
    """The block of a runtime's layer; `conversions` or `other` where its name tells none.

    layer: its name: an ONNX name, several joined in any way, or one with words appended (`relu_1_nchwc`).
    known: of `graph_blocks`. kind: the runtime's word for what the layer does.
    """
    named = named_block(layer)
    if named is not None:
        return named
    found = [block for word in _WORD.findall(layer) if (block := _known_block(word, known)) is not None]
    if found:
        return found[-1]
    return CONVERSIONS if _CONVERSION.search(f"{layer} {kind}") else OTHER


def _known_block(word: str, known: Mapping[str, str]) -> str | None:
    """The block of the known name that a word begins with. A number at its end is part of a name, not appended."""
    while word not in known:
        word, _, last = word.rpartition("_")
        if not word or last.isdigit():
            return None
    return known[word]
