"""Float blocks: the block that ruins INT8 is found, kept in floating point, and its cost is recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import FloatBlocks
from ssr_edge.common.errors import UsageError
from ssr_edge.images.preprocess import load
from ssr_export.engines.block_ranker import BlockRanker, RankedBlock
from ssr_export.engines.float_blocks import named_float_blocks, proposals
from ssr_export.int8.quantize import block_names, quantization_points, quantize
from ssr_export.onnx.qdq_rules import check_qdq
from ssr_train.training.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.slow

PLANTED = "stages.3.blocks.0"
BLOCKS = ["stem", "a", "b", "c", "d", "e", "f", "g"]


@pytest.fixture(scope="module")
def planted_checkpoint(demo_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's weights with a damaged branch BatchNorm: variance 1e-4 makes four channels grow by a factor of 60."""
    network, card = load_checkpoint(demo_checkpoint)
    network.get_submodule(PLANTED).spatial.square_bn.running_var[40:44] = 1e-4  # type: ignore[union-attr, operator]
    folder = tmp_path_factory.mktemp("planted")
    for folder_name in ("calibration", "images"):
        (folder / folder_name).symlink_to(demo_checkpoint.parent / folder_name)
    save_checkpoint(folder / "weights.safetensors", network, card)
    return folder / "weights.safetensors"


def test_the_planted_block_fails_int8_and_auto_finds_it(
    planted_checkpoint: Path, tmp_path: Path, ssr_edge: Callable[..., Any]
) -> None:
    answer = ssr_edge("build-engine", planted_checkpoint, "--bundle", tmp_path / "b", "--precision", "int8")
    assert answer.code == 0, answer.err
    manifest = Bundle.open(tmp_path / "b").manifest
    assert manifest.float_blocks is not None
    assert PLANTED in manifest.float_blocks.blocks
    assert len(manifest.float_blocks.blocks) <= 2
    first = next(trial for trial in manifest.float_blocks.trials if trial.kept)
    assert first.block == PLANTED
    assert first.error < 0.6 * first.before
    assert first.added_ms >= 0
    engine = manifest.engines[0]
    assert engine.float_blocks == manifest.float_blocks.blocks
    assert engine.gate is not None
    assert engine.gate.passed

    held_out = ("--held-out", planted_checkpoint.parent / "images")
    place = ("--bundle", tmp_path / "plain")
    refused = ssr_edge(
        "build-engine", tmp_path / "b", *place, *held_out, "--precision", "int8", "--float-blocks", "none"
    )
    assert refused.code == 4
    assert not (tmp_path / "plain").exists()


def test_the_convolutions_of_a_float_block_read_floats_and_all_others_int8(
    fp32: onnx.ModelProto, ranges: dict[str, float]
) -> None:
    blocks = block_names(fp32)
    assert blocks == ["stem", *(f"stages.{stage}.blocks.0" for stage in range(4))]
    model = quantize(fp32, ranges, {"stages.1.blocks.0"})
    producer = {output: node.op_type for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.op_type == "Conv" and ".attention." not in node.name:
            quantized = producer.get(node.input[1]) == "DequantizeLinear"
            assert quantized == (not node.name.startswith("stages.1.blocks.0."))
            assert (producer[node.input[0]] == "DequantizeLinear") == quantized
    # Without its conv1, spatial, conv3 and skip input: four points fewer.
    points = [len(quantization_points(fp32, float_blocks)) for float_blocks in ((), {"stages.1.blocks.0"})]
    assert points[0] - points[1] == 4
    check_qdq(model)


def test_with_every_block_in_floating_point_nothing_is_quantized(
    fp32: onnx.ModelProto, ranges: dict[str, float]
) -> None:
    assert quantize(fp32, ranges, block_names(fp32)) == fp32


def test_ranking_sees_no_error_without_int8_and_sorts_by_gain_for_time(
    fp32: onnx.ModelProto, ranges: dict[str, float], demo_images: list[Path]
) -> None:
    images = np.stack([load(path) for path in demo_images[:2]])
    spoilt = next(p.tensor for p in quantization_points(fp32) if p.consumer == "stages.2.blocks.0.conv3")
    ranker = BlockRanker(fp32, ranges | {spoilt: 200 * ranges[spoilt]}, images)
    blocks = block_names(fp32)
    assert ranker.error(blocks) < 1e-6
    ranking = ranker.rank([], blocks)
    assert ranking[0].block == "stages.2.blocks.0"
    assert ranking[0].error < 0.5 * ranker.error([])
    gains = [ranked.gain_for_time for ranked in ranking]
    assert gains == sorted(gains, reverse=True)


class FakeRanker(BlockRanker):
    """A network whose logit error is the sum of its blocks' errors; each float block costs 1 ms."""

    def __init__(self, errors: dict[str, float]) -> None:
        self.errors = errors

    def error(self, float_blocks: Collection[str]) -> float:
        return sum(error for block, error in self.errors.items() if block not in float_blocks)

    def rank(self, float_blocks: Collection[str], blocks: Sequence[str]) -> list[RankedBlock]:
        tried = [RankedBlock(b, self.error([*float_blocks, b]), 1.0, self.errors[b]) for b in blocks]
        return sorted(tried, key=lambda ranked: ranked.gain_for_time, reverse=True)


def searched(errors: dict[str, float], needed: set[str]) -> tuple[FloatBlocks, list[list[str]]]:
    """The proposal that a caller ends with whose engine passes with `needed`, and the blocks it built before that."""
    tried: list[list[str]] = []
    for proposal in proposals(FakeRanker(errors), BLOCKS, lambda line: None):
        if proposal.blocks:
            tried.append(proposal.blocks)
        if needed <= set(proposal.blocks):
            break
    return proposal, tried


def test_the_search_adds_the_best_block_until_the_engine_passes() -> None:
    errors = dict.fromkeys(BLOCKS, 0.01) | {"f": 0.5, "b": 0.3}
    found, tried = searched(errors, {"b", "f"})
    assert tried == [["f"], ["b", "f"]]
    assert found.blocks == ["b", "f"]
    assert [trial.block for trial in found.trials if trial.kept] == ["f", "b"]
    assert len(found.trials) == len(BLOCKS) + 4


def test_the_search_ends_when_no_block_helps() -> None:
    found, tried = searched(dict.fromkeys(BLOCKS, 0.0) | {"c": 0.4}, {"stem"})
    assert tried == [["c"]]
    assert found.blocks == []
    assert [trial.kept for trial in found.trials] == [True] + [False] * (len(found.trials) - 1)


def test_the_search_ends_at_half_of_the_blocks() -> None:
    found, tried = searched(dict.fromkeys(BLOCKS, 0.1), {"nothing would do"})
    assert [len(blocks) for blocks in tried] == [1, 2, 3, 4]
    assert found.blocks == []
    assert len([trial for trial in found.trials if trial.kept]) == 4
    assert "4 blocks" in found.why


def test_named_float_blocks_are_in_graph_order_and_unknown_ones_refused() -> None:
    assert named_float_blocks("c, stem", BLOCKS) == ["stem", "c"]
    assert named_float_blocks("auto", BLOCKS) == named_float_blocks("none", BLOCKS) == []
    with pytest.raises(UsageError) as error:
        named_float_blocks("stem,stages.9", BLOCKS)
    assert "'stages.9'" in error.value.found and "'stem'" not in error.value.found
    assert "stem, a, b" in error.value.expected
