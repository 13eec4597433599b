"""Saves and loads everything that is needed to resume a run, as one safetensors file, replaced between epochs."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ssr_edge.common.errors import TrainingError
from ssr_edge.common.files import replacing

STATE = "state.safetensors"


def save_state(
    run: Path, epoch: int, network: nn.Module, averaged: AveragedModel, optimizer: torch.optim.Optimizer
) -> None:
    """Writes the state after `epoch` epochs, atomically: a kill leaves the previous state or this one."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {"epoch": torch.tensor(epoch)}
    tensors |= {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"averaged.{name}": tensor for name, tensor in averaged.state_dict().items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": tensor for key, tensor in values.items()}
    with replacing(run / STATE) as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary)


def load_state(run: Path, network: nn.Module, averaged: AveragedModel, optimizer: torch.optim.Optimizer) -> int:
    """Restores what `save_state` wrote and returns the number of epochs done; 0 if there is no state.

    Raises:
        TrainingError: the state is damaged or belongs to another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (run / STATE).exists():
        return 0
    try:
        tensors = load_file(run / STATE)
    except SafetensorError as error:
        raise TrainingError(
            f"{run / STATE} is damaged: {error}",
            expected="the file that ssr-edge train wrote",
            next_step="ssr-edge train --data FOLDER  (a new run)",
        ) from error
    try:
        network.load_state_dict(_below(tensors, "network."))
        averaged.load_state_dict(_below(tensors, "averaged."))
    except RuntimeError as error:
        raise TrainingError(
            f"{run / STATE} belongs to another network",
            expected="the state of the architecture in run.json",
            next_step="ssr-edge train --data FOLDER  (a new run)",
        ) from error
    state: dict[int, dict[str, Tensor]] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name, tensor in _below(tensors, "optimizer.").items():
        number, key = name.split(".")
        state.setdefault(int(number), {})[key] = _laid_out_like(parameters[int(number)], tensor)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(tensors["epoch"])


def _laid_out_like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """The tensor in the memory format of the parameter: fused optimizers require it, but do not check it."""
    if tensor.shape != parameter.shape:  # the number of steps
        return tensor
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
