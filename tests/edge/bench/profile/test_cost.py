from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ssr_edge.bench.profile.blocks import OTHER
from ssr_edge.bench.profile.cost import network_cost
from ssr_edge.bundle.bundle import Bundle, model_file
from tests.doubles.install import tiny_network

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "int8"])
def test_the_sum_is_the_manifest_s(tiny_bundle: Bundle, precision: str) -> None:
    costs = network_cost(tiny_bundle.file(model_file(precision)), precision)
    assert sum(cost.operations for cost in costs) == tiny_bundle.manifest.multiply_adds
    assert [cost.block for cost in costs][:2] == ["preprocessing", "stem"]
    assert costs[-1].block == "classifier"


def test_the_demo_s_network_takes_0_793_g(demo_model: Path) -> None:
    costs = {cost.block: cost for cost in network_cost(demo_model, "fp32")}
    assert len(costs) == 13
    assert sum(cost.operations for cost in costs.values()) == 792_983_552
    # 7x7 of 3 to 32 channels at 112x112; its weights and biases.
    assert costs["stem"].multiply_adds == {"fp32": 49 * 3 * 32 * 112 * 112}
    assert costs["stem"].weight_bytes == 4 * (49 * 3 * 32 + 32)
    # The convolution reads 3 and writes 32 maps of 112x112; pooling reads them and writes 32 of 56x56.
    assert costs["stem"].activation_bytes == 4 * (3 * 224 * 224 + 2 * 32 * 112 * 112 + 32 * 56 * 56)
    # Pixels are read as bytes and written as floats once, whatever number of nodes normalizes them.
    assert costs["preprocessing"].activation_bytes == 5 * 3 * 224 * 224
    assert costs["classifier"].multiply_adds == {"fp32": 1024 * 8}


def test_an_int8_file_is_counted_by_its_quantized_weights(tiny_bundle: Bundle) -> None:
    exact = {cost.block: cost for cost in network_cost(tiny_bundle.file("model.fp32.onnx"), "fp32")}
    for cost in network_cost(tiny_bundle.file("model.int8.onnx"), "int8"):
        if cost.block.startswith("stages"):
            attention = exact[cost.block].operations - cost.multiply_adds["int8"]
            assert 0 < attention < 0.05 * exact[cost.block].operations
            assert cost.multiply_adds["fp32"] == attention
            assert cost.weight_bytes < 0.6 * exact[cost.block].weight_bytes
            assert cost.activation_bytes < 0.7 * exact[cost.block].activation_bytes
        elif cost.block == "classifier":
            assert cost.multiply_adds == exact["classifier"].multiply_adds


def _save(path: Path, nodes: list[onnx.NodeProto], shape: list[int | str], weights: dict[str, tuple[int, ...]]) -> Path:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros(sizes, np.float32), name) for name, sizes in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("d", 1)]), path)
    return path


def test_a_residual_block_by_hand(tmp_path: Path) -> None:
    """Grouped convolution, scale by its own mean, addition of the skip input, ReLU: 8 channels of 6x6."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], "stages.0.blocks.0.spatial", group=2, pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["y"], ["mean"]),
        helper.make_node("Sigmoid", ["mean"], ["s"]),
        helper.make_node("Mul", ["y", "s"], ["scaled"]),
        helper.make_node("Add", ["scaled", "x"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["z"]),
    ]
    (cost,) = network_cost(_save(tmp_path / "m.onnx", nodes, ["n", 8, 6, 6], {"w": (8, 4, 3, 3)}), "bf16")
    maps = 8 * 6 * 6
    assert cost.block == "stages.0.blocks.0"
    assert cost.multiply_adds == {"bf16": maps * 4 * 9}
    assert cost.weight_bytes == 2 * 8 * 4 * 9
    # The convolution moves x and y; the mean reads y, and what is fused with it reads y and x again and writes z.
    assert cost.activation_bytes == 2 * 6 * maps


def test_other_networks_are_counted_too(tmp_path: Path) -> None:
    onnx.save(tiny_network(), tmp_path / "tiny.onnx")
    (cost,) = network_cost(tmp_path / "tiny.onnx", "fp32")
    assert (cost.block, cost.operations) == (OTHER, 3 * 8)
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["y"], transA=1),
        helper.make_node("Unknown", ["y"], ["z"], domain="d"),
    ]
    (cost,) = network_cost(_save(tmp_path / "gemm.onnx", nodes, [5, 3], {"w": (5, 7)}), "fp32")
    assert cost.operations == 3 * 5 * 7
