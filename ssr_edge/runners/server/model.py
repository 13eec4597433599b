"""Checks the server's model metadata against a bundle's model before the first image is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import ServerError
from ssr_edge.runners.server.address import ServerAddress
from ssr_edge.runners.server.retry import no_answer, refused
from ssr_edge.runners.tensors import CAM, IMAGE_SHAPE, INPUT, TENSORS

# Two such requests stay below 4 MiB, the default limit of a gRPC server; servers do their own batching.
MAX_BATCH = 16
Answer = TypeVar("Answer")
_Shape = tuple[int, ...]


@dataclass(frozen=True)
class ServerModel:
    """server: name and version. version: the model's, empty if the server has none. outputs: names to request."""

    server: str
    version: str
    max_batch: int
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class _Tensor:
    datatype: str
    shape: _Shape

    def __str__(self) -> str:
        return f"{self.datatype} [{', '.join('n' if size == -1 else str(size) for size in self.shape)}]"

    def holds(self, wanted: _Tensor) -> bool:
        """Whether the tensor matches `wanted` for at least one image."""
        return (
            self.datatype == wanted.datatype and self.shape[1:] == wanted.shape[1:] and self.shape[:1] in ((-1,), (1,))
        )


_WANTED = {name: _Tensor(np_to_triton_dtype(dtype), (-1, *shape)) for name, (shape, dtype) in TENSORS.items()}


def inspect_model(client: InferenceServerClient, address: ServerAddress, deadline_s: float) -> ServerModel:
    """Reads the server's metadata, checks it, and has one black image classified.

    Raises:
        ServerError: no answer, no such model, or its tensors or classes differ from a bundle's.
    """

    def ask(request: Callable[..., Answer], *arguments: object, **options: object) -> Answer:
        try:
            return request(*arguments, client_timeout=deadline_s, **options)
        except InferenceServerException as error:
            if error.status() in ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED"):
                raise no_answer(address, error, deadline_s) from error
            raise refused(address, error) from error

    server = ask(client.get_server_metadata)
    model = ask(client.get_model_metadata, address.model)
    inputs, outputs = _tensors(model.inputs), _tensors(model.outputs)
    _check_tensors(address, inputs, outputs)
    batches = [MAX_BATCH if inputs[INPUT].shape[0] == -1 else 1]
    if "model_configuration" in server.extensions:
        # 0: the server does not batch this model; its input shape gives the limit.
        batches.append(ask(client.get_model_config, address.model).config.max_batch_size or MAX_BATCH)
    black = image_input(np.zeros((1, *IMAGE_SHAPE), np.uint8))
    if "classification" in server.extensions:
        top = InferRequestedOutput("probabilities", class_count=len(CLASSES))
        entries = ask(client.infer, address.model, [black], outputs=[top]).as_numpy("probabilities")
        _check_labels(address, [str(text, "utf-8", "replace") for text in entries.ravel()])
    answer = ask(client.infer, address.model, [black])
    return ServerModel(
        server=f"{server.name} {server.version}".strip(),
        version=answer.get_response().model_version,
        max_batch=min(batches),
        outputs=tuple(name for name in (*_WANTED, CAM) if name in outputs),
    )


def image_input(images: np.typing.NDArray[np.uint8]) -> InferInput:
    """A request's input tensor: a copy of uint8 BGR [n, 224, 224, 3]."""
    tensor = InferInput(INPUT, list(images.shape), _WANTED[INPUT].datatype)
    tensor.set_data_from_numpy(images)
    return tensor


def _tensors(metadata: object) -> dict[str, _Tensor]:
    return {tensor.name: _Tensor(tensor.datatype, tuple(tensor.shape)) for tensor in metadata}  # type: ignore[attr-defined]


def _check_tensors(address: ServerAddress, inputs: dict[str, _Tensor], outputs: dict[str, _Tensor]) -> None:
    wrong = []
    for name, wanted in _WANTED.items():
        there = inputs if name == INPUT else outputs
        if name not in there or not there[name].holds(wanted):
            wrong.append(name)
    if wrong or len(inputs) > 1:
        raise ServerError(
            f"{address.server}: {address.model} has inputs {_listed(inputs)} and outputs {_listed(outputs)}",
            expected=f"a bundle's model, with inputs {_listed({INPUT: _WANTED[INPUT]})} and outputs "
            + _listed({name: tensor for name, tensor in _WANTED.items() if name != INPUT}),
            next_step="--server with the name of such a model; see docs/server.md for how to serve a bundle",
        )


def _check_labels(address: ServerAddress, entries: list[str]) -> None:
    """entries: `value:index:label` or, for a model without labels, `value:index`; most probable first."""
    fields = [text.split(":", 2) for text in entries]
    labels = [label for _, label in sorted((int(field[1]), field[2]) for field in fields if len(field) == 3)]
    if labels and labels != list(CLASSES):
        raise ServerError(
            f"{address.server}: {address.model} has the classes {', '.join(labels)}",
            expected=", ".join(CLASSES) + ", in this order",
            next_step="--server with the name of a bundle's model; see docs/server.md for how to serve a bundle",
        )


def _listed(tensors: dict[str, _Tensor]) -> str:
    return ", ".join(f"{name} {tensor}" for name, tensor in tensors.items()) or "none"
