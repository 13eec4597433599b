"""The ONNX file: its interface, its names, and its results compared with PyTorch on real images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import ExportError
from ssr_edge.images.preprocess import load
from ssr_export.folding.fold import fold
from ssr_export.onnx.to_onnx import OPSET, check_onnx, export_onnx
from ssr_train.data.dataset import normalize, to_rgb
from ssr_train.models.network import SSResNeXt

MakeNetwork = Callable[..., SSResNeXt]


def test_the_interface_is_as_documented(tiny_bundle: Bundle) -> None:
    model = onnx.load(tiny_bundle.file("model.fp32.onnx"))
    (images,) = model.graph.input
    shape = [d.dim_param or d.dim_value for d in images.type.tensor_type.shape.dim]
    assert images.name == "images"
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert isinstance(shape[0], str)
    assert shape[1:] == [224, 224, 3]
    assert [output.name for output in model.graph.output] == ["logits", "probabilities"]
    assert all(o.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for o in model.graph.output)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET)]


def test_convolutions_carry_their_modules_names(tiny_bundle: Bundle) -> None:
    names = [n.name for n in onnx.load(tiny_bundle.file("model.fp32.onnx")).graph.node if n.op_type == "Conv"]
    assert names[:4] == [
        "stem",
        "stages.0.blocks.0.conv1",
        "stages.0.blocks.0.spatial",
        "stages.0.blocks.0.attention.reduce",
    ]


def test_no_shape_arithmetic_is_left(tiny_bundle: Bundle) -> None:
    kinds = {node.op_type for node in onnx.load(tiny_bundle.file("model.fp32.onnx")).graph.node}
    assert kinds == {
        "Cast", "Transpose", "Sub", "Mul", "Conv", "Relu", "MaxPool", "ReduceMean", "Sigmoid", "Add", "Gemm", "Softmax",
    }  # fmt: skip


def test_logits_equal_the_unfolded_network_fed_rgb(
    tiny_bundle: Bundle, make_network: MakeNetwork, demo_images: list[Path]
) -> None:
    network = make_network("ssresnext14_8x4d")  # the one in the tiny bundle
    images = np.stack([load(path) for path in demo_images])
    session = onnxruntime.InferenceSession(tiny_bundle.file("model.fp32.onnx"), providers=["CPUExecutionProvider"])
    logits, probabilities = session.run(None, {"images": images})
    with torch.inference_mode():
        expected = network(normalize(to_rgb(images)))
    assert np.abs(logits - expected.numpy()).max() <= 1e-5 * float(expected.abs().max())
    assert np.allclose(probabilities, torch.softmax(expected, 1).numpy(), atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_the_batch_is_dynamic_and_images_do_not_mix(tiny_bundle: Bundle, demo_images: list[Path], batch: int) -> None:
    session = onnxruntime.InferenceSession(tiny_bundle.file("model.fp32.onnx"), providers=["CPUExecutionProvider"])
    images = np.stack([load(path) for path in demo_images[:batch]])
    together = session.run(["logits"], {"images": images})[0]
    alone = [session.run(["logits"], {"images": image[None]})[0] for image in images]
    assert np.allclose(together, np.concatenate(alone), atol=1e-5)


@pytest.mark.slow
def test_the_same_network_gives_the_same_file(tiny_bundle: Bundle, make_network: MakeNetwork, tmp_path: Path) -> None:
    export_onnx(fold(make_network("ssresnext14_8x4d")).float(), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == tiny_bundle.file("model.fp32.onnx").read_bytes()


def test_another_networks_file_fails_the_check(
    tiny_bundle: Bundle, make_network: MakeNetwork, demo_images: list[Path]
) -> None:
    images = np.stack([load(path) for path in demo_images[:2]])
    other = fold(make_network("ssresnext14_8x4d", seed=2)).float()
    with pytest.raises(ExportError, match=r"model\.fp32\.onnx"):
        check_onnx(tiny_bundle.file("model.fp32.onnx"), other, images)
