"""The modules of a folded network: one convolution with a bias instead of several and their BatchNorms.

`ssr_export.folding.fold` computes the weights. Checkpoints of fine-tuned networks have this form, so that they can be
trained further and evaluated without the export stage.
"""

from __future__ import annotations

from torch import nn

from ssr_train.models.bhcnet import BhcNet, SmallSeBlock
from ssr_train.models.network import Block, Network, ParallelKernels, SharedKernels, SingleKernel, SSResNeXt


def is_folded(network: Network) -> bool:
    """Whether a network has the folded form. Always False for Swin, which has no BatchNorm to fold."""
    return isinstance(network, SSResNeXt | BhcNet) and isinstance(network.stem_bn, nn.Identity)


def take_folded_form(network: Network) -> None:
    """Replaces the modules of an unfolded network by those of its folded form, in place, with random weights."""
    if isinstance(network, SSResNeXt | BhcNet):
        network.stem, network.stem_bn = conv_with_bias(network.stem), nn.Identity()  # type: ignore[assignment]
    for block in network.modules():
        if isinstance(block, SmallSeBlock):
            for number in (1, 2, 3):
                setattr(block, f"conv{number}", conv_with_bias(getattr(block, f"conv{number}")))
                setattr(block, f"bn{number}", nn.Identity())
        elif isinstance(block, Block):
            block.conv1, block.bn1 = conv_with_bias(block.conv1), nn.Identity()  # type: ignore[assignment]
            block.spatial = conv_with_bias(_square(block.spatial))
            block.conv3, block.bn3 = conv_with_bias(block.conv3), nn.Identity()  # type: ignore[assignment]
            if isinstance(block.shortcut, nn.Sequential):
                block.shortcut = conv_with_bias(block.shortcut[0])


def conv_with_bias(conv: nn.Module) -> nn.Conv2d:
    """A new convolution of the same shape, dtype and device, with a bias."""
    assert isinstance(conv, nn.Conv2d)
    return nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        groups=conv.groups,
        dtype=conv.weight.dtype,
        device=conv.weight.device,
    )


def _square(spatial: nn.Module) -> nn.Module:
    """The 3x3 convolution, which has the shape of the folded one."""
    if isinstance(spatial, SingleKernel):
        return spatial[0]
    assert isinstance(spatial, ParallelKernels | SharedKernels)
    return spatial.square
