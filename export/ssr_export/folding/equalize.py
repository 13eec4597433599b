"""Cross-layer equalization: moves scale between folded convolutions so that one INT8 step fits a tensor's channels.

ReLU, pooling, attention's product and residual addition commute with a positive factor per channel, so dividing by it
what writes a channel and multiplying by it what reads the channel changes nothing (Nagel et al. 2019, arXiv 1906.04721,
section 4.1). Weights here have a step per output channel already; what is left to balance is the activation's range of
a channel against its readers' weights (Xiao et al. 2023, arXiv 2211.10438, equation 4 with alpha 0.5).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ssr_edge.common.errors import ExportError
from ssr_train.models.network import Block, Network, SqueezeExcite

# FP32 rounds every rescaled weight once; SSResNeXt-50's logits then move by about 1e-6 of the largest.
LIMIT = 1e-4
# The largest factor between a tensor's channels: a channel that calibration hardly saw may be larger on other images.
_MOST = 64.0
# Smallest weight, beside the largest of its output channel, that counts: INT8 itself keeps nothing below 1/254.
_UNREAD = 1e-6


@dataclass
class Link:
    """Convolutions that share the channels of one tensor and so must share its factors.

    writers: their output channels are divided. readers: INT8, their input channels are multiplied. float_readers:
    likewise, but they stay in floating point and have no say in the factors. skips: writers whose own output is
    quantized before it is added.
    """

    writers: list[nn.Conv2d]
    readers: list[nn.Conv2d] = field(default_factory=list)
    float_readers: list[nn.Conv2d | nn.Linear] = field(default_factory=list)
    skips: list[nn.Conv2d] = field(default_factory=list)


def links(folded: Network) -> list[Link]:
    """Every link of a folded network, each convolution in exactly one as writer and one as reader.

    Within a block: conv1 -> spatial, and spatial -> conv3, where the attention's first map undoes the factors before
    its sigmoid. Between blocks: all that is added to one residual stream is one link, because an addition needs both
    its inputs to have the same factors; a shortcut convolution ends a stream and begins the next.
    """
    found = []
    stream = Link([folded.stem])
    for block in _blocks(folded):
        spatial, attention = block.spatial, block.attention
        assert isinstance(spatial, nn.Conv2d)
        squeezed: list[nn.Conv2d | nn.Linear] = [attention.reduce] if isinstance(attention, SqueezeExcite) else []
        found += [Link([block.conv1], [spatial]), Link([spatial], [block.conv3], squeezed)]
        stream.readers.append(block.conv1)
        if isinstance(block.shortcut, nn.Conv2d):
            stream.readers.append(block.shortcut)
            found.append(stream)
            stream = Link([block.shortcut], skips=[block.shortcut])
        stream.writers.append(block.conv3)
    stream.float_readers.append(folded.classifier)
    return [*found, stream]


def equalize(folded: Network, batches: Iterable[Tensor]) -> Network:
    """Returns an equalized copy of a folded network, FP32, that computes the same logits.

    batches: float32 [n, 3, 224, 224], normalized RGB of calibration images; streamed, one at a time.

    Raises:
        ExportError: the logits of the first batch moved by more than LIMIT of the largest.
    """
    equalized = copy.deepcopy(folded).double()
    found = links(equalized)
    first, ranges = _channel_ranges(folded, links(folded), batches)
    with torch.no_grad():
        for link, largest in zip(found, ranges, strict=True):
            # A last stage of one block is read by the classifier alone, in floating point.
            if link.readers:
                rescale(link, factors(largest.double(), _input_ranges(link.readers)))
    equalized = equalized.float()
    _check(folded, equalized, first)
    return equalized


def factors(activations: Tensor, weights: Tensor) -> Tensor:
    """The factor of each channel: [C] from the channels' activation ranges [C] and reading weights' ranges [C].

    Their geometric balance, at most _MOST apart, and the largest activation that is read keeps its size, so that FP16
    keeps its headroom. A channel that was always zero gets the least factor, like one that nearly was: left at 1, its
    idle weights would set the steps of the others'. One that nothing reads gets the largest.
    """
    read = weights > _UNREAD
    if not (read & (activations > 0)).any():
        return torch.ones_like(activations)
    balance = torch.sqrt(activations / weights.clamp(min=_UNREAD))
    most = balance[read].max()
    balance = torch.where(read, balance.clamp(min=most / _MOST), most)
    return balance * (activations / balance)[read].max() / activations[read].max()


def rescale(link: Link, factor: Tensor) -> None:
    """Applies factors [C], all positive, to a link's convolutions in place."""
    for conv in link.writers:
        conv.weight /= factor.view(-1, 1, 1, 1)
        assert conv.bias is not None
        conv.bias /= factor
    for reader in (*link.readers, *link.float_readers):
        grouped = _by_group(reader)
        grouped *= factor.view(grouped.shape[0], 1, -1, 1)


def _by_group(reader: nn.Conv2d | nn.Linear) -> Tensor:
    """The weight as a view [groups, outputs of a group, inputs of a group, taps]."""
    groups = reader.groups if isinstance(reader, nn.Conv2d) else 1
    outputs, inputs = reader.weight.shape[:2]
    return reader.weight.view(groups, outputs // groups, inputs, -1)


def _input_ranges(readers: list[nn.Conv2d]) -> Tensor:
    """Largest weight that reads each channel [C], relative to its output channel's, which sets the step."""
    ranges = []
    for reader in readers:
        weight = _by_group(reader).abs()
        step = weight.amax((2, 3), keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)
        ranges.append((weight / step).amax((1, 3)).flatten())
    return torch.stack(ranges).amax(0)


@torch.inference_mode()
def _channel_ranges(folded: Network, found: list[Link], batches: Iterable[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The first batch, and the largest magnitude of each channel [C] of each link's quantized tensors."""
    ranges = [torch.zeros(link.writers[0].out_channels) for link in found]

    def watch(place: int, values: Tensor) -> None:
        torch.maximum(ranges[place], values.abs().amax((0, 2, 3)), out=ranges[place])

    hooks = []
    for place, link in enumerate(found):
        for reader in link.readers:
            hooks.append(reader.register_forward_pre_hook(lambda _, x, place=place: watch(place, x[0])))
        for skip in link.skips:
            hooks.append(skip.register_forward_hook(lambda _, x, y, place=place: watch(place, y)))
    first = None
    try:
        for batch in batches:
            first = batch if first is None else first
            folded(batch)
    finally:
        for hook in hooks:
            hook.remove()
    assert first is not None
    return first, ranges


def _blocks(folded: Network) -> Iterator[Block]:
    for module in folded.modules():
        if isinstance(module, Block):
            yield module


@torch.inference_mode()
def _check(folded: Network, equalized: Network, images: Tensor) -> None:
    expected = folded(images)
    error = float((equalized(images) - expected).abs().max() / expected.abs().max())
    if not error <= LIMIT:
        raise ExportError(
            f"equalization moved the FP32 logits by {error:.1e} of the largest",
            expected=f"at most {LIMIT:.0e}",
            next_step="ssr-edge build-engine  (without --equalize)",
        )
