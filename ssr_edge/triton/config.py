"""Builds a model's config.pbtxt with the protobuf definitions of Triton's client."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from ssr_edge.runners.onnxruntime import MAX_BATCH
from ssr_edge.triton.batching import Batching
from ssr_edge.triton.models import ServedModel
from ssr_edge.triton.tensors import Tensor, Tensors

CONFIG = "config.pbtxt"
LABELS = "labels.txt"
WARM_UP = "sample.raw"
# The output whose indices are classes.
_CLASSES_OF = "probabilities"
_LINE = 120


@dataclass(frozen=True)
class _Backend:
    """Triton's names for a runtime. OpenVINO has no platform (backend repository, README, "Backends")."""

    backend: str
    platform: str
    kind: int


_BACKENDS = {
    "tensorrt": _Backend("tensorrt", "tensorrt_plan", pb.ModelInstanceGroup.KIND_GPU),
    "onnxruntime": _Backend("onnxruntime", "onnxruntime_onnx", pb.ModelInstanceGroup.KIND_CPU),
    "openvino": _Backend("openvino", "", pb.ModelInstanceGroup.KIND_CPU),
}


def batch_limits(model: ServedModel) -> tuple[int, int]:
    """Smallest and largest batch that the server may form from requests; (0, 0) if it must not batch.

    No batching with OpenVINO: given a maximum batch, Triton's backend fixes the model to it and either rejects other
    sizes or pads to it (openvino_backend, src/openvino.cc, `ov::set_batch` and ENABLE_BATCH_PADDING). Without one, the
    batch is an ordinary dynamic axis, and a request may have any number of images.
    """
    if model.runtime == "openvino":
        return 0, 0
    if model.engine is not None:
        return model.engine.batch[0], model.engine.batch[2]
    return 1, MAX_BATCH


def model_config(model: ServedModel, tensors: Tensors, batching: Batching | None) -> pb.ModelConfig:
    """A model's configuration. batching: from measurements; None for Triton's default, which does not wait."""
    names = _BACKENDS[model.runtime]
    least, most = batch_limits(model)
    config = pb.ModelConfig(
        name=model.name,
        backend=names.backend,
        platform=names.platform,
        max_batch_size=most,
        input=[pb.ModelInput(name=one.name, data_type=_kind(one), dims=_dims(one, most, -1)) for one in tensors.inputs],
        output=[
            pb.ModelOutput(
                name=one.name,
                data_type=_kind(one),
                dims=_dims(one, most, -1),
                label_filename=LABELS if one.name == _CLASSES_OF else "",
            )
            for one in tensors.outputs
        ],
        instance_group=[pb.ModelInstanceGroup(kind=names.kind, count=1)],
        version_policy=pb.ModelVersionPolicy(latest=pb.ModelVersionPolicy.Latest(num_versions=1)),
    )
    preferred = batching.preferred if batching else ()
    if batching is not None and preferred:
        config.dynamic_batching.preferred_batch_size.extend(preferred)
        config.dynamic_batching.max_queue_delay_microseconds = batching.delay_us
    config.model_warmup.extend(_warm_up(tensors, size, most) for size in (max(1, least), *preferred))
    for key, value in _parameters(model).items():
        config.parameters[key].string_value = value
    return config


def as_text(config: pb.ModelConfig, comments: Sequence[str]) -> str:
    """The text of config.pbtxt: wrapped comments, then the fields."""
    wrapped = [line for comment in comments for line in textwrap.wrap(comment, _LINE - 2, break_on_hyphens=False)]
    fields: str = text_format.MessageToString(config, use_short_repeated_primitives=True)
    return "".join(f"# {line}\n" for line in wrapped) + fields


def _kind(tensor: Tensor) -> int:
    return int(pb.DataType.Value(tensor.kind))


def _dims(tensor: Tensor, most: int, batch: int) -> list[int]:
    """If the server batches the model, its shape omits the batch axis."""
    return list(tensor.shape) if most else [batch, *tensor.shape]


def _warm_up(tensors: Tensors, size: int, most: int) -> pb.ModelWarmup:
    """The sample image repeated `size` times: warmup/sample.raw, the input's bytes in row-major order."""
    inputs = {
        one.name: pb.ModelWarmup.Input(data_type=_kind(one), dims=_dims(one, most, 1), input_data_file=WARM_UP)
        for one in tensors.inputs
    }
    return pb.ModelWarmup(name=f"batch of {size}", batch_size=size, inputs=inputs)


def _parameters(model: ServedModel) -> dict[str, str]:
    """The options of `ssr_edge.runners.openvino`, as far as Triton's backend supports them."""
    if model.runtime != "openvino":
        return {}
    return {"PERFORMANCE_HINT": "LATENCY"} | ({"HINT_BF16": "YES"} if model.precision == "bf16" else {})
