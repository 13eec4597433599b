"""Writes the folded network as ONNX: from pixels as OpenCV decodes them to probabilities.

Input `images`: uint8 [N, 224, 224, 3], BGR. Outputs `logits` and `probabilities`: float32 [N, 8]; optionally
`cam`, the class activation maps, float32 [N, 8, h, w].
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ssr_edge.bundle.manifest import OnnxParity
from ssr_edge.common.errors import ExportError
from ssr_edge.common.files import replacing
from ssr_edge.common.install_hint import install_hint
from ssr_edge.images.preprocess import IMAGE_SIZE, MEAN_BGR, STD_BGR, Image
from ssr_edge.runners.onnxruntime import import_onnxruntime
from ssr_train.models.network import Network

# TensorRT 10.3 (JetPack 6) supports opsets up to 20 and this IR version; 19 is the first with FP16 Q/DQ.
OPSET = 19
IR_VERSION = 9
PARITY_LIMIT = 1e-4


class DeployedNetwork(nn.Module):
    """The network that is exported: preprocessing, then the folded network. cam: also outputs class activation maps.

    The stem's input channels are reversed here once, so that BGR pixels need no reordering at run time.
    """

    def __init__(self, folded: Network, cam: bool = False) -> None:
        super().__init__()
        self.cam = cam
        self.network = copy.deepcopy(folded)
        with torch.no_grad():
            self.network.stem.weight.copy_(folded.stem.weight.flip(1))
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.tensor(MEAN_BGR).view(1, 3, 1, 1) * 255)
        self.register_buffer("scale", 1 / (torch.tensor(STD_BGR).view(1, 3, 1, 1) * 255))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """uint8 BGR [N, 224, 224, 3] -> float32 logits and probabilities [N, 8] and, with cam, maps [N, 8, h, w]."""
        x = images.float().permute(0, 3, 1, 2)  # [N, 3, 224, 224]
        x = (x - self.mean) * self.scale
        if not self.cam:
            logits = self.network(x)
            return logits, torch.softmax(logits, dim=1)
        logits, cam = self.network.forward_with_cam(x)
        return logits, torch.softmax(logits, dim=1), cam


def export_onnx(folded: Network, path: Path, cam: bool = False) -> None:
    """Writes the FP32 model with a dynamic batch size and runs the ONNX checker. cam: adds the third output.

    Raises:
        ExportError: the exporter or the checker rejects the network.
    """
    deployed = DeployedNetwork(folded.float(), cam).eval()
    example = torch.zeros(2, IMAGE_SIZE, IMAGE_SIZE, 3, dtype=torch.uint8)
    try:
        with _quiet():
            program = torch.onnx.export(
                deployed,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["images"],
                output_names=["logits", "probabilities", "cam"][: 3 if cam else 2],
                dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}},
                verbose=False,
            )
        assert program is not None
        _fold_constants(program)
        model = _named(program.model_proto)
        onnx.checker.check_model(model, full_check=True)
    except (torch.onnx.errors.OnnxExporterError, onnx.checker.ValidationError, RuntimeError) as error:
        raise ExportError(
            f"the network can't be written as ONNX: {str(error).splitlines()[0]}",
            expected=f"a network that opset {OPSET} can express",
            next_step=f"{install_hint('export')} --upgrade",
        ) from error
    with replacing(path) as temporary:
        onnx.save(model, temporary)


@torch.inference_mode()
def check_onnx(path: Path, folded: Network, images: Image) -> OnnxParity:
    """Compares ONNX Runtime with PyTorch on real images: uint8 BGR [n, 224, 224, 3].

    Raises:
        ExportError: the logits differ by more than PARITY_LIMIT, relative to the largest.
    """
    onnxruntime = import_onnxruntime()

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = np.asarray(session.run(["logits"], {"images": images})[0])
    expected = DeployedNetwork(folded).eval()(torch.from_numpy(images))[0].numpy()
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not error <= PARITY_LIMIT:
        raise ExportError(
            f"the logits of {path.name} differ from PyTorch by {error:.1e}, relative to the largest",
            expected=f"at most {PARITY_LIMIT:.0e}",
            next_step=f"{install_hint('export')} --upgrade",
        )
    return OnnxParity(images=len(images), relative_error=error)


def _fold_constants(program: torch.onnx.ONNXProgram) -> None:
    """Precomputes what does not depend on the pixels, such as Swin's attention masks, which FP16 would mistype."""
    from onnxscript import optimizer

    limit = 1 << 24  # bytes; larger than any constant
    optimizer.fold_constants(
        program.model, should_fold=lambda node: True, input_size_limit=limit, output_size_limit=limit
    )
    optimizer.remove_unused_nodes(program.model)


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Names convolutions after their module (`stages.1.blocks.0.conv1`), for reports and errors."""
    model.ir_version = IR_VERSION
    for node in model.graph.node:
        weight = node.input[1] if node.op_type in ("Conv", "Gemm", "MatMul") and len(node.input) > 1 else ""
        if weight.endswith(".weight"):
            node.name = weight.removesuffix(".weight").removeprefix("network.")
        # The exporter stores PyTorch's whole call stack in every node: most of the size of a small file.
        del node.metadata_props[:]
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides the exporter's progress messages and the deprecation warnings of its dependencies."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
