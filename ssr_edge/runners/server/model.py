"""What a server says of its model before the first image is sent, and whether that is what a bundle's model is."""

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

# Two of them stay below the 4 MiB that a gRPC server accepts unless it is told otherwise; servers batch by themselves.
MAX_BATCH = 16
Answer = TypeVar("Answer")
_Shape = tuple[int, ...]


@dataclass(frozen=True)
class ServerModel:
    """server: its name and version. version: of the model, empty where the server has none. outputs: to ask for."""

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
        """Whether it takes, or gives, what is wanted for one image at least."""
        return (
            self.datatype == wanted.datatype and self.shape[1:] == wanted.shape[1:] and self.shape[:1] in ((-1,), (1,))
        )


_WANTED = {name: _Tensor(np_to_triton_dtype(dtype), (-1, *shape)) for name, (shape, dtype) in TENSORS.items()}


def inspect_model(client: InferenceServerClient, address: ServerAddress, deadline_s: float) -> ServerModel:
    """Asks the server what it serves, checks it, and has one black image classified.

    Raises:
        ServerError: no answer, no such model, or one with other tensors or other classes than a bundle's.
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
        # 0: the model is not batched by the server, and its input's shape has said what it takes.
        batches.append(ask(client.get_model_config, address.model).config.max_batch_size or MAX_BATCH)
    black = image_input(np.zeros((1, *IMAGE_SHAPE), np.uint8))
    if "classification" in server.extensions:
        top = InferRequestedOutput("probabilities", class_count=len(CLASSES))
        said = ask(client.infer, address.model, [black], outputs=[top]).as_numpy("probabilities")
        _check_labels(address, [str(text, "utf-8", "replace") for text in said.ravel()])
    answer = ask(client.infer, address.model, [black])
    return ServerModel(
        server=f"{server.name} {server.version}".strip(),
        version=answer.get_response().model_version,
        max_batch=min(batches),
        outputs=tuple(name for name in (*_WANTED, CAM) if name in outputs),
    )


def image_input(images: np.typing.NDArray[np.uint8]) -> InferInput:
    """A request's input: a copy of uint8 BGR [n, 224, 224, 3]."""
    tensor = InferInput(INPUT, list(images.shape), _WANTED[INPUT].datatype)
    tensor.set_data_from_numpy(images)
    return tensor


def _tensors(said: object) -> dict[str, _Tensor]:
    return {tensor.name: _Tensor(tensor.datatype, tuple(tensor.shape)) for tensor in said}  # type: ignore[attr-defined]


def _check_tensors(address: ServerAddress, inputs: dict[str, _Tensor], outputs: dict[str, _Tensor]) -> None:
    wrong = []
    for name, wanted in _WANTED.items():
        there = inputs if name == INPUT else outputs
        if name not in there or not there[name].holds(wanted):
            wrong.append(name)
    if wrong or len(inputs) > 1:
        raise ServerError(
            f"{address.server}: {address.model} takes {_listed(inputs)} and gives {_listed(outputs)}",
            expected=f"a bundle's model, which takes {_listed({INPUT: _WANTED[INPUT]})} and gives "
            + _listed({name: tensor for name, tensor in _WANTED.items() if name != INPUT}),
            next_step="--server with the name of such a model; docs/server.md says how to serve a bundle",
        )


def _check_labels(address: ServerAddress, said: list[str]) -> None:
    """said: `value:index:label` or, of a model without labels, `value:index`, the most probable first."""
    parts = [text.split(":", 2) for text in said]
    labels = [label for _, label in sorted((int(part[1]), part[2]) for part in parts if len(part) == 3)]
    if labels and labels != list(CLASSES):
        raise ServerError(
            f"{address.server}: {address.model} has the classes {', '.join(labels)}",
            expected=", ".join(CLASSES) + ", in this order",
            next_step="--server with the name of a bundle's model; docs/server.md says how to serve a bundle",
        )


def _listed(tensors: dict[str, _Tensor]) -> str:
    return ", ".join(f"{name} {tensor}" for name, tensor in tensors.items()) or "nothing"
