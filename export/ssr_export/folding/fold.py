"""Folds the parallel kernels and all BatchNorms into single convolutions with a bias, exactly.

In evaluation mode a BatchNorm is y = gamma (x - mean) / sqrt(var + eps) + beta: it scales and shifts the output
channels of a convolution, so it folds into weight and bias. A 1x3 kernel is a 3x3 kernel whose other two rows are zero
(likewise 3x1), and convolution is linear, so the three kernels add up to one (Ding et al. 2019, arXiv 1908.03930).
Computed in FP64; `ssr_export.folding.fold_check` verifies the result.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssr_edge.common.errors import ExportError
from ssr_train.models.bhcnet import BhcNet, SmallSeBlock
from ssr_train.models.folded import conv_with_bias, is_folded
from ssr_train.models.network import Block, Network, ParallelKernels, SharedKernels, SingleKernel, SSResNeXt


def fold(network: Network) -> Network:
    """Returns a folded copy, FP64, in evaluation mode: one convolution with bias per set of kernels and BatchNorms.

    The copy computes the same function of normalized RGB [N, 3, H, W]; `.float()` gives the FP32 network to export.
    Folded networks and Swin, which has no BatchNorm, are only copied. A BatchNorm that follows no convolution, as at
    the start of BHCNet's blocks, remains.

    Raises:
        ExportError: the network is in training mode, or a BatchNorm's statistics are not finite.
    """
    if network.training:
        raise ExportError(
            "the network is in training mode, where BatchNorm depends on the batch",
            expected="network.eval()",
            next_step="load it with ssr_train.training.checkpoint.load_checkpoint",
        )
    folded = copy.deepcopy(network).double()
    if is_folded(folded):
        return folded
    if isinstance(folded, SSResNeXt | BhcNet):
        _fold_in_place(folded, "stem", "stem_bn", "stem")
    for name, block in folded.named_modules():
        if isinstance(block, Block):
            _fold_block(block, name)
        elif isinstance(block, SmallSeBlock):
            for number in (1, 2, 3):
                _fold_in_place(block, f"conv{number}", f"bn{number}", f"{name}.conv{number}")
    return folded


def _fold_block(block: Block, name: str) -> None:
    _fold_in_place(block, "conv1", "bn1", f"{name}.conv1")
    block.spatial = _fold_spatial(block.spatial, f"{name}.spatial")
    _fold_in_place(block, "conv3", "bn3", f"{name}.conv3")
    if isinstance(block.shortcut, nn.Sequential):
        block.shortcut = _fold_pair(block.shortcut[0], block.shortcut[1], f"{name}.shortcut")


def _fold_in_place(module: nn.Module, conv: str, bn: str, name: str) -> None:
    """Replaces `conv` by the folded convolution and `bn` by the identity, so that `forward` still works."""
    setattr(module, conv, _fold_pair(getattr(module, conv), getattr(module, bn), name))
    setattr(module, bn, nn.Identity())


def _fold_spatial(spatial: nn.Module, name: str) -> nn.Conv2d:
    if isinstance(spatial, SingleKernel):
        return _fold_pair(spatial[0], spatial[1], name)
    assert isinstance(spatial, ParallelKernels | SharedKernels)
    square = spatial.square.weight  # [C, C/groups, 3, 3]
    if isinstance(spatial, ParallelKernels):
        row, column = spatial.row.weight, spatial.column.weight  # [C, C/groups, 1, 3] and [.., 3, 1]
    else:
        row, column = square[:, :, 1:2, :], square[:, :, :, 1:2]
    kernels = [
        (square, spatial.square_bn),
        (F.pad(row, (0, 0, 1, 1)), spatial.row_bn),  # zeros above and below
        (F.pad(column, (1, 1, 0, 0)), spatial.column_bn),  # zeros left and right
    ]
    folded = [_scale_and_shift(weight, bn, name) for weight, bn in kernels]
    return _conv_like(spatial.square, sum(w for w, _ in folded), sum(b for _, b in folded))  # type: ignore[arg-type]


def _fold_pair(conv: nn.Module, bn: nn.Module, name: str) -> nn.Conv2d:
    assert isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d)
    return _conv_like(conv, *_scale_and_shift(conv.weight, bn, name))


def _scale_and_shift(weight: Tensor, bn: nn.BatchNorm2d, name: str) -> tuple[Tensor, Tensor]:
    assert bn.running_var is not None and bn.running_mean is not None
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    shift = bn.bias - bn.running_mean * scale
    if not (torch.isfinite(scale).all() and torch.isfinite(shift).all()):
        raise ExportError(
            f"{name}: the BatchNorm statistics are not finite",
            expected="finite running mean and non-negative running variance",
            next_step="train again with a lower learning_rate: ssr-edge train --recipe FILE.toml",
        )
    return weight * scale.view(-1, 1, 1, 1), shift


def _conv_like(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    folded = conv_with_bias(conv)
    with torch.no_grad():
        folded.weight.copy_(weight)
        assert folded.bias is not None
        folded.bias.copy_(bias)
    return folded
