from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.bench.profile.blocks import (
    CONVERSIONS,
    OTHER,
    PREPROCESSING,
    block_of,
    graph_blocks,
    named_block,
    network_order,
)
from ssr_edge.bundle.bundle import Bundle
from tests.doubles.install import tiny_network


@pytest.fixture(scope="module")
def known(tiny_bundle: Bundle) -> dict[str, str]:
    return graph_blocks(onnx.load(tiny_bundle.file("model.int8.onnx")))


def test_every_node_of_the_network_has_a_block(tiny_bundle: Bundle, known: dict[str, str]) -> None:
    model = onnx.load(tiny_bundle.file("model.int8.onnx"))
    named = [f"stages.{stage}.blocks.0" for stage in range(4)]
    assert list(dict.fromkeys(known.values())) == [PREPROCESSING, "stem", *named, "classifier"]
    by_kind: dict[str, set[str]] = {}
    for node in model.graph.node:
        by_kind.setdefault(node.op_type, set()).add(known[node.name])
    assert by_kind["MaxPool"] == {"stem"}
    assert by_kind["Add"] == set(named)
    assert by_kind["Transpose"] == {PREPROCESSING}
    assert by_kind["Softmax"] == {"classifier"}
    assert by_kind["Sigmoid"] == set(named)


def test_a_graph_of_other_names_is_all_other() -> None:
    assert set(graph_blocks(tiny_network()).values()) == {OTHER}


@pytest.mark.parametrize(
    ("layer", "kind", "block"),
    [
        # OpenVINO
        ("stem/WithoutBiases", "Convolution", "stem"),
        ("node_mul_6_abcd_acdb_stem/WithoutBiases", "Reorder", "stem"),
        ("stages.1.blocks.0.conv3_u8_f32_stages.1.blocks.1.conv3/WithoutBiases", "Reorder", "stages.1.blocks.1"),
        ("node_permute_original", "Transpose", PREPROCESSING),
        ("Multiply_13187,node_relu,relu_quantize", "PowerStatic", "stem"),
        ("Multiply_13187", "PowerStatic", OTHER),
        ("logits", "FullyConnected", "classifier"),
        # ONNX Runtime
        ("relu_nchwc", "Conv", "stem"),
        ("ReorderOutput_token_117", "ReorderOutput", CONVERSIONS),
        ("network.stages.3.blocks.0.conv1.weight_dequantize", "DequantizeLinear", "stages.3.blocks.0"),
        # TensorRT
        ("Reformatting CopyNode for Input Tensor 0 to stages.2.blocks.0.conv1", "", "stages.2.blocks.0"),
        ("Reformatting CopyNode for Output Tensor 0", "", CONVERSIONS),
        ("stages.0.blocks.0.conv1 || stages.0.blocks.0.shortcut", "", "stages.0.blocks.0"),
        ("PWN(PWN(node_sigmoid), node_relu)", "", "stem"),
        ("classifier + node_softmax", "", "classifier"),
        ("ecosystem.stemming", "", OTHER),
        ("", "", OTHER),
    ],
)  # fmt: skip
def test_layers_of_runtimes_find_their_block(known: dict[str, str], layer: str, kind: str, block: str) -> None:
    assert block_of(layer, known, kind) == block


def test_a_number_at_a_name_s_end_is_not_taken_for_something_appended(known: dict[str, str]) -> None:
    assert "relu" in known and "relu_999" not in known
    assert block_of("relu_999", known) == OTHER


@given(st.text())
def test_any_name_has_a_block(name: str) -> None:
    assert block_of(name, {"a": "stem"}) in {"stem", "classifier", CONVERSIONS, OTHER} or named_block(name)


def test_blocks_sort_as_an_image_passes_them() -> None:
    order = [PREPROCESSING, "stem", "stages.0.blocks.2", "stages.0.blocks.10", "stages.1.blocks.0", "classifier"]
    order += [CONVERSIONS, OTHER]
    shuffled = ["classifier", OTHER, *order[2:5], CONVERSIONS, *order[:2]]
    assert sorted(shuffled, key=network_order) == order
