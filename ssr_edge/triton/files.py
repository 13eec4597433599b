"""Makes the files of a model's version folder, under the names that Triton's backends look for."""

from __future__ import annotations

import shutil
from pathlib import Path

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.triton.models import ServedModel

# Triton's documentation, "Model Repository", section "Model Files".
_NAMES = {"tensorrt": "model.plan", "onnxruntime": "model.onnx"}
_IR = "model.xml"


def form_of(model: ServedModel) -> str:
    """What is done to the bundle's file, for the record: the same file in another form is another version."""
    if model.runtime != "openvino":
        return "as it is"
    from ssr_edge.runners.openvino.core import openvino_version

    bits = f", weights of {weight_bits()} bits" if model.precision == "int8" else ""
    return f"IR of OpenVINO {openvino_version()}{bits}"


def weight_bits() -> int:
    """Of INT8 weights that OpenVINO computes rightly with on this processor: 7 for want of VNNI, else 8."""
    from ssr_edge.runners.openvino.saturation import int8_saturates

    return 7 if int8_saturates() else 8


def write_files(bundle: Bundle, model: ServedModel, folder: Path) -> None:
    """Writes model.plan or model.onnx as the bundle has it, or model.xml and model.bin, into an existing folder.

    Raises:
        BundleError: the bundle's file is missing or was changed. RuntimeUnavailable: OpenVINO is missing.
    """
    source = bundle.file(model.source)
    if model.runtime != "openvino":
        shutil.copyfile(source, folder / _NAMES[model.runtime])
        return
    from ssr_edge.runners.openvino.core import openvino_core
    from ssr_edge.runners.openvino.runner import read_network

    read = read_network(openvino_core(), source, model.precision)
    import openvino

    # Its default would round FP32 weights to FP16.
    openvino.save_model(read, folder / _IR, compress_to_fp16=False)
