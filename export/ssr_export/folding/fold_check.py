"""Fold check: compares a folded network with its original on real images, by block and as a whole, in FP32 and FP64."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ssr_edge.bundle.manifest import BlockError, FoldCheck
from ssr_edge.common.errors import ExportError
from ssr_export.folding.fold import fold
from ssr_train.models.network import Network, ResidualBlock

FP32_LIMIT = 1e-5
FP64_LIMIT = 1e-12


@torch.inference_mode()
def fold_with_check(network: Network, images: Tensor) -> tuple[Network, FoldCheck]:
    """Folds `network` and compares the result with the original on `images`.

    images: real images, float32 normalized RGB [N, 3, 224, 224]. Returns the folded network in FP32.

    Raises:
        ExportError: a logit differs by more than FP32_LIMIT or FP64_LIMIT, relative to the largest.
    """
    folded64 = fold(network)
    original64 = copy.deepcopy(network).double()
    folded32 = copy.deepcopy(folded64).float()
    wide = _compare(original64, folded64, images.double())
    narrow = _compare(network, folded32, images)
    fold_check = FoldCheck(
        images=len(images),
        fp32=narrow.pop(""),
        fp64=wide.pop(""),
        blocks=[BlockError(block=name, fp32=narrow[name], fp64=wide[name]) for name in narrow],
    )
    # `not <=` also rejects NaN.
    if not (fold_check.fp32 <= FP32_LIMIT and fold_check.fp64 <= FP64_LIMIT):
        worst = max(fold_check.blocks, key=lambda block: block.fp64, default=None)
        raise ExportError(
            f"folding changed the logits by {fold_check.fp32:.1e} (FP32) and {fold_check.fp64:.1e} (FP64), most in "
            f"{worst.block if worst else 'no block'}",
            expected=f"at most {FP32_LIMIT:.0e} and {FP64_LIMIT:.0e} of the largest logit",
            next_step="train longer, until the BatchNorm statistics are stable: ssr-edge train",
        )
    return folded32, fold_check


def _compare(original: Network, folded: Network, images: Tensor) -> dict[str, float]:
    """Relative error by block name; each folded block gets the original's input. "" is the whole network."""
    counterparts = dict(folded.named_modules())
    errors: dict[str, float] = {}
    hooks = []
    for name, block in original.named_modules():
        if isinstance(block, ResidualBlock):

            def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = name) -> None:
                errors[name] = _relative(counterparts[name](inputs[0]), output)

            hooks.append(block.register_forward_hook(hook))
    try:
        logits = original(images)
    finally:
        for handle in hooks:
            handle.remove()
    errors[""] = _relative(folded(images), logits)
    return errors


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())
