"""Reads an ONNX file's inputs and outputs for the server's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

from ssr_edge.common.errors import BundleError

_KINDS = {"uint8": "TYPE_UINT8", "float16": "TYPE_FP16", "float32": "TYPE_FP32"}


@dataclass(frozen=True)
class Tensor:
    """An input or output. kind: Triton's name of its type. shape: without the batch axis; -1 for dynamic axes."""

    name: str
    kind: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Tensors:
    """Inputs and outputs of a model; their first axis is a dynamic batch."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read_tensors(model: Path) -> Tensors:
    """Reads an ONNX file's inputs and outputs.

    Raises:
        BundleError: a tensor has a type that bundles do not use, or a fixed batch.
    """
    import onnx

    graph = onnx.load(model, load_external_data=False).graph
    return Tensors(
        tuple(_tensor(model, value) for value in graph.input), tuple(_tensor(model, value) for value in graph.output)
    )


def _tensor(model: Path, value: onnx.ValueInfoProto) -> Tensor:
    import onnx

    tensor = value.type.tensor_type
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
    batch, *shape = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
    if dtype not in _KINDS or batch != -1:
        raise BundleError(
            f"{model}: {value.name} is {dtype} {[batch, *shape]}",
            expected=f"one of {', '.join(_KINDS)} with a dynamic batch axis, as written by ssr-edge build-engine",
            next_step="ssr-edge build-engine",
        )
    return Tensor(value.name, _KINDS[dtype], tuple(shape))
