"""Quantized files that TensorRT rejects late or computes incorrectly are rejected before anything is built."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ssr_edge.bundle.bundle import Bundle, write_manifest
from ssr_edge.common.errors import BuildError
from ssr_edge.images.preprocess import load
from ssr_export.engines.build import Builder, EngineRequest, build_engine
from ssr_export.onnx.qdq_rules import check_qdq


class OneImage(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, image: Path) -> None:
        self._feeds = iter([{"images": load(image)[None]}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def quantized_by_onnxruntime(bundle: Bundle, image: Path, target: Path, activations: QuantType, bias: bool) -> Path:
    quantize_static(
        bundle.file("model.fp32.onnx"),
        target,
        OneImage(image),
        quant_format=QuantFormat.QDQ,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
        extra_options={"QuantizeBias": bias, "ActivationSymmetric": True},
    )
    return target


def test_onnxruntimes_uint8_activations_are_refused(
    tiny_bundle: Bundle, demo_images: list[Path], tmp_path: Path
) -> None:
    file = quantized_by_onnxruntime(tiny_bundle, demo_images[0], tmp_path / "q.onnx", QuantType.QUInt8, bias=False)
    with pytest.raises(BuildError, match="uint8"):
        check_qdq(onnx.load(file))


def test_onnxruntimes_int32_biases_are_refused(tiny_bundle: Bundle, demo_images: list[Path], tmp_path: Path) -> None:
    file = quantized_by_onnxruntime(tiny_bundle, demo_images[0], tmp_path / "q.onnx", QuantType.QInt8, bias=True)
    with pytest.raises(BuildError, match="int32 bias"):
        check_qdq(onnx.load(file))


@pytest.mark.parametrize("runtime", ["openvino", "tensorrt-rtx"])
@pytest.mark.parametrize(("activations", "bias", "reason"), [
    (QuantType.QUInt8, False, "uint8"),
    (QuantType.QInt8, True, "int32"),
])  # fmt: skip
def test_building_refuses_them_before_it_starts(
    tiny_bundle: Bundle,
    demo_images: list[Path],
    tmp_path: Path,
    runtime: Builder,
    activations: QuantType,
    bias: bool,
    reason: str,
) -> None:
    quantized_by_onnxruntime(tiny_bundle, demo_images[0], tmp_path / "model.int8.onnx", activations, bias)
    write_manifest(tmp_path, tiny_bundle.manifest.model_copy(deep=True))
    with pytest.raises(BuildError, match=re.escape(reason)) as refusal:
        build_engine(tmp_path, EngineRequest(runtime, "int8"), print)
    assert "node" in refusal.value.found
    assert not (tmp_path / "engines").exists()


def single_node(kind: str, zero_point: np.ndarray | None, **attributes: Any) -> onnx.ModelProto:
    inputs = ["x", "scale"] + (["zero"] if zero_point is not None else [])
    constants = [numpy_helper.from_array(np.float32(0.1), "scale")]
    if zero_point is not None:
        constants.append(numpy_helper.from_array(zero_point, "zero"))
    node = helper.make_node(kind, inputs, ["y"], name="the_node", **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    y = helper.make_tensor_value_info("y", TensorProto.INT8, [4])
    return helper.make_model(helper.make_graph([node], "g", [x], [y], constants))


def test_a_zero_point_other_than_zero_is_refused() -> None:
    with pytest.raises(BuildError, match="zero point"):
        check_qdq(single_node("QuantizeLinear", np.int8(3)))


def test_onnx_default_of_no_zero_point_is_uint8_and_refused() -> None:
    with pytest.raises(BuildError, match="uint8"):
        check_qdq(single_node("QuantizeLinear", None))


def test_int16_is_refused() -> None:
    with pytest.raises(BuildError, match="int16"):
        check_qdq(single_node("QuantizeLinear", np.int16(0)))


def test_symmetric_int8_passes() -> None:
    check_qdq(single_node("QuantizeLinear", np.int8(0)))


def test_operator_oriented_quantization_is_refused() -> None:
    with pytest.raises(BuildError, match="DynamicQuantizeLinear"):
        check_qdq(single_node("DynamicQuantizeLinear", None))
