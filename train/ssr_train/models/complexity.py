"""Counts parameters and multiply-adds as in Table 4 of the paper, before and after folding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ssr_edge.images.preprocess import IMAGE_SIZE
from ssr_train.models.arch import arch_by_name, arch_names
from ssr_train.models.build import build_network
from ssr_train.models.folded import take_folded_form

# The paper counts its two baselines with 1000 classes, like the public ImageNet networks.
HEADS = (8, 1000)


@dataclass(frozen=True)
class Complexity:
    """A row of Table 4. parameters: learnable values before folding. classes: outputs of the head.

    multiply_adds, multiply_adds_folded: for one 224x224 image, before folding and after it, as in an engine.
    """

    arch: str
    classes: int
    parameters: int
    multiply_adds: int
    multiply_adds_folded: int


def complexity_rows(names: Sequence[str] | None = None, heads: Sequence[int] = HEADS) -> list[Complexity]:
    """A row for each architecture, the paper's first, and each size of head. names: None for all architectures.

    Raises:
        UsageError: no such architecture.
    """
    return [_row(name, classes) for name in names or arch_names() for classes in heads]


def _row(name: str, classes: int) -> Complexity:
    # On the meta device only shapes are computed.
    with torch.device("meta"):
        network = build_network(arch_by_name(name), classes)
    parameters, unfolded = parameter_count(network), multiply_adds(network)
    take_folded_form(network)
    return Complexity(name, classes, parameters, unfolded, multiply_adds(network))


def parameter_count(network: nn.Module) -> int:
    """Number of learnable values."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module) -> int:
    """Multiply-adds of all convolutions, linear layers and attention products for one 224x224 image.

    Biases are not counted. The network is left in evaluation mode.
    """
    parameter = next(network.parameters())
    image = torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE, dtype=parameter.dtype, device=parameter.device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(image)
    return int(counter.get_total_flops()) // 2
