"""A checkpoint: weights and everything needed to evaluate and export them, in one safetensors file (no pickle)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict, Field, ValidationError
from torch import Tensor

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import CheckpointError
from ssr_edge.common.files import replacing
from ssr_edge.common.older_names import OlderNames
from ssr_train.data.splits import Split
from ssr_train.models.arch import arch_from_dict
from ssr_train.models.build import build_network
from ssr_train.models.folded import take_folded_form
from ssr_train.models.network import Network

_METADATA_KEY = "ssr_edge"


class CheckpointCard(OlderNames):
    """The metadata of a checkpoint, stored as JSON in the header of the file.

    split: image name -> part. metrics: part -> metrics. data: folder of the images during training, which may have
    moved since. folded: the weights are those of the folded form. fine_tuned_from: SHA-256 of the checkpoint that was
    fine-tuned. initialized_from: SHA-256 of the file of public weights that training started from.
    """

    older_names: ClassVar[dict[str, str]] = {"initialised_from": "initialized_from"}

    model_config = ConfigDict(extra="forbid")

    arch: dict[str, Any]
    classes: list[str] = Field(default_factory=lambda: list(CLASSES))
    magnification: int | None
    recipe: dict[str, Any]
    seed: int
    epochs: int
    data: str
    split_kind: str
    split_seed: int
    split: dict[str, str]
    metrics: dict[str, dict[str, Any]]
    tools: dict[str, str]
    folded: bool = False
    fine_tuned_from: str | None = None
    initialized_from: str | None = None

    def to_split(self) -> Split:
        """The split that the weights were trained with."""
        return Split(self.split_kind, self.split_seed, self.split)  # type: ignore[arg-type]


def save_checkpoint(path: Path, network: Network, card: CheckpointCard, half: bool = False) -> None:
    """Writes weights and card. half: stores convolution and linear weights as FP16; BatchNorm stays FP32."""
    from safetensors.torch import save_file

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if half:
        state = {name: tensor.half() if tensor.dim() >= 2 else tensor for name, tensor in state.items()}
    with replacing(path) as temporary:
        save_file(state, temporary, metadata={_METADATA_KEY: card.model_dump_json()})


def load_checkpoint(path: Path) -> tuple[Network, CheckpointCard]:
    """Reads a checkpoint into an FP32 network in evaluation mode, in folded form if the card has `folded`.

    Raises:
        CheckpointError: the file is missing, damaged, or not an ssr-edge checkpoint.
    """
    state, card = _read(path)
    try:
        network = build_network(arch_from_dict(card.arch), len(card.classes))
        if card.folded:
            take_folded_form(network)
        network.load_state_dict({name: _widen(tensor) for name, tensor in state.items()})
    except RuntimeError as error:
        raise _unusable(f"{path}: the weights do not fit {card.arch['name']}") from error
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unusable(f"{path}: the card does not describe a known network: {error!r}") from error
    return network.eval(), card


def _read(path: Path) -> tuple[dict[str, Tensor], CheckpointCard]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = (file.metadata() or {}).get(_METADATA_KEY)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise _unusable(f"{path} can't be read: {error}") from error
    if metadata is None:
        raise _unusable(f"{path} is a safetensors file, but not an ssr-edge checkpoint")
    try:
        return state, CheckpointCard.model_validate_json(metadata)
    except ValidationError as error:
        raise _unusable(f"{path} has a card that this version can't read: {error.errors()[0]['msg']}") from error


def _widen(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _unusable(found: str) -> CheckpointError:
    return CheckpointError(
        found, expected="a checkpoint.safetensors written by ssr-edge train", next_step="ssr-edge train --data FOLDER"
    )
