"""Writes the files of a model's version folder, with the names that Triton's backends expect."""

from __future__ import annotations

import shutil
from pathlib import Path

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.triton.models import ServedModel

# Triton's documentation, "Model Repository", section "Model Files".
_NAMES = {"tensorrt": "model.plan", "onnxruntime": "model.onnx"}
_IR = "model.xml"


def form_of(model: ServedModel) -> str:
    """The form in which the bundle's file is served, for the record: another form is another version."""
    if model.runtime != "openvino":
        return "as it is"
    from ssr_edge.runners.openvino.core import openvino_version

    bits = f", weights of {weight_bits()} bits" if model.precision == "int8" else ""
    return f"IR of OpenVINO {openvino_version()}{bits}"


def weight_bits() -> int:
    """Bits of INT8 weights with which OpenVINO is correct on this CPU: 7 without VNNI, else 8."""
    from ssr_edge.runners.openvino.saturation import int8_saturates

    return 7 if int8_saturates() else 8


def write_files(bundle: Bundle, model: ServedModel, folder: Path) -> None:
    """Writes a copy as model.plan or model.onnx, or model.xml and model.bin, into an existing folder.

    Raises:
        BundleError: the bundle's file is missing or was modified. RuntimeUnavailable: OpenVINO is missing.
    """
    source = bundle.file(model.source)
    if model.runtime != "openvino":
        shutil.copyfile(source, folder / _NAMES[model.runtime])
        return
    from ssr_edge.runners.openvino.core import openvino_core
    from ssr_edge.runners.openvino.runner import read_network

    read = read_network(openvino_core(), source, model.precision)
    import openvino

    # The default rounds FP32 weights to FP16.
    openvino.save_model(read, folder / _IR, compress_to_fp16=False)
