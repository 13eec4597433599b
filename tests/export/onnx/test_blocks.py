"""Blocks extracted from the graph compute the same outputs as in the whole graph, given the same inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from ssr_edge.common.errors import ExportError
from ssr_edge.images.preprocess import load
from ssr_export.onnx.blocks import cut, find_blocks, given


def run(model: onnx.ModelProto, wanted: list[str], feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.output[:]
    opened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    session = onnxruntime.InferenceSession(opened.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(wanted, session.run(wanted, feeds), strict=True))


def test_the_stem_and_every_block_are_found_with_all_their_nodes(fp32: onnx.ModelProto) -> None:
    blocks = find_blocks(fp32)
    assert [block.name for block in blocks] == ["stem", *(f"stages.{stage}.blocks.0" for stage in range(4))]
    for block in blocks[1:]:
        named = {node.name for node in fp32.graph.node if node.name.startswith(block.name)}
        assert len(named) == 6  # conv1, spatial, two of the attention, conv3, shortcut
        assert named < block.nodes
    assert not blocks[1].nodes & blocks[2].nodes


def test_blocks_cut_out_compute_what_they_compute_in_the_network(
    fp32: onnx.ModelProto, calibration_images: list[Path]
) -> None:
    images = np.stack([load(path) for path in calibration_images[:2]])
    blocks = find_blocks(fp32)
    sources, targets = [block.source for block in blocks], [block.target for block in blocks]
    exact = run(fp32, list(dict.fromkeys(sources + targets)), {"images": images})
    alone = cut(fp32, sources, targets)
    found = run(alone, targets, {given(name): exact[name] for name in sources})
    for target in targets:
        assert np.abs(exact[target]).max() > 0.1
        np.testing.assert_allclose(found[target], exact[target], rtol=1e-4, atol=1e-4)


def test_a_block_depends_on_its_own_input_alone(fp32: onnx.ModelProto) -> None:
    second = find_blocks(fp32)[2]
    alone = cut(fp32, [second.source], [second.target])
    assert [value.name for value in alone.graph.input] == [given(second.source)]
    assert {node.name for node in alone.graph.node} == second.nodes


def test_a_graph_without_the_blocks_ending_is_refused(fp32: onnx.ModelProto) -> None:
    strange = onnx.ModelProto()
    strange.CopyFrom(fp32)
    for node in strange.graph.node:
        if node.op_type == "Add":
            node.op_type = "Sub"
    with pytest.raises(ExportError, match="Add"):
        find_blocks(strange)
