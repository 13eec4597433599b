"""Counts parameters and multiply-adds as Table 4 of the paper does: convolutions and the classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssr_edge.preprocess import IMAGE_SIZE
from ssr_train.network import SharedKernels


def parameter_count(network: nn.Module) -> int:
    """Learnable values."""
    return sum(parameter.numel() for parameter in network.parameters())


@torch.inference_mode()
def multiply_adds(network: nn.Module) -> int:
    """Multiply-adds of one 224x224 image through every convolution and linear layer, biases left out."""
    total = 0

    def count(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += module.weight.numel()
        elif isinstance(module, SharedKernels):
            # Row and column reuse 3 of the 3x3's 9 values each, without a module of their own.
            total += output[0].numel() * module.square.weight[0].numel() * 2 // 3

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    parameter = next(network.parameters())
    network.eval()(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE, dtype=parameter.dtype, device=parameter.device))
    for hook in hooks:
        hook.remove()
    return total
