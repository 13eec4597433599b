"""Cross-layer equalization: rescales folded convolutions so that one INT8 step suits all channels of a tensor.

ReLU, pooling, the attention's product and residual addition commute with a positive factor per channel, so dividing the
weights that write a channel by it and multiplying the weights that read the channel by it changes nothing (Nagel et al.
2019, arXiv 1906.04721, section 4.1). Weights already have one step per output channel; what remains is to balance the
activation range of each channel against the weights that read it (Xiao et al. 2023, arXiv 2211.10438, equation 4 with
alpha 0.5).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ssr_edge.common.errors import ExportError
from ssr_train.models.network import Block, Network, SqueezeExcite

# Each rescaled weight is rounded to FP32 once, which changes SSResNeXt-50's logits by about 1e-6 of the largest.
LIMIT = 1e-4
# Largest ratio of two channels' factors: a channel nearly inactive in calibration may be larger on other images.
_MAX_RATIO = 64.0
# Weights below this share of their output channel's largest count as unused: INT8 rounds anything below 1/254 to 0.
_UNUSED = 1e-6


@dataclass
class Link:
    """Convolutions that share the channels of one tensor and therefore its factors.

    writers: their output channels are divided. readers: INT8, their input channels are multiplied. float_readers: also
    multiplied, but they stay in floating point and do not influence the factors. skips: writers whose output is
    quantized before the addition.
    """

    writers: list[nn.Conv2d]
    readers: list[nn.Conv2d] = field(default_factory=list)
    float_readers: list[nn.Conv2d | nn.Linear] = field(default_factory=list)
    skips: list[nn.Conv2d] = field(default_factory=list)


def links(folded: Network) -> list[Link]:
    """All links of a folded network; each convolution is a writer in exactly one and a reader in exactly one.

    Within a block: conv1 -> spatial, and spatial -> conv3, where the attention's first layer undoes the factors before
    its sigmoid. Between blocks: everything added to one residual stream is one link, because both inputs of an addition
    need the same factors; a shortcut convolution ends one stream and starts the next.
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

    batches: calibration images, float32 normalized RGB [n, 3, 224, 224]; read one at a time.

    Raises:
        ExportError: the logits of the first batch changed by more than LIMIT, relative to the largest.
    """
    equalized = copy.deepcopy(folded).double()
    found = links(equalized)
    first, ranges = _channel_ranges(folded, links(folded), batches)
    with torch.no_grad():
        for link, largest in zip(found, ranges, strict=True):
            # If the last stage has one block, only the classifier reads its stream, in floating point.
            if link.readers:
                rescale(link, factors(largest.double(), _input_ranges(link.readers)))
    equalized = equalized.float()
    _check(folded, equalized, first)
    return equalized


def factors(activations: Tensor, weights: Tensor) -> Tensor:
    """The factor of each channel [C], from the ranges of its activations [C] and of the weights that read it [C].

    Factors balance the two geometrically, differ by at most _MAX_RATIO, and keep the largest used activation unchanged,
    so that FP16 keeps its headroom. A channel that is always zero gets the smallest factor, like one that is nearly
    zero: with factor 1, its idle weights would set the quantization steps. An unused channel gets the largest.
    """
    read = weights > _UNUSED
    if not (read & (activations > 0)).any():
        return torch.ones_like(activations)
    balance = torch.sqrt(activations / weights.clamp(min=_UNUSED))
    most = balance[read].max()
    balance = torch.where(read, balance.clamp(min=most / _MAX_RATIO), most)
    return balance * (activations / balance)[read].max() / activations[read].max()


def rescale(link: Link, factor: Tensor) -> None:
    """Applies positive factors [C] to the convolutions of a link, in place."""
    for conv in link.writers:
        conv.weight /= factor.view(-1, 1, 1, 1)
        assert conv.bias is not None
        conv.bias /= factor
    for reader in (*link.readers, *link.float_readers):
        grouped = _by_group(reader)
        grouped *= factor.view(grouped.shape[0], 1, -1, 1)


def _by_group(reader: nn.Conv2d | nn.Linear) -> Tensor:
    """The weight as a view [groups, outputs per group, inputs per group, taps]."""
    groups = reader.groups if isinstance(reader, nn.Conv2d) else 1
    outputs, inputs = reader.weight.shape[:2]
    return reader.weight.view(groups, outputs // groups, inputs, -1)


def _input_ranges(readers: list[nn.Conv2d]) -> Tensor:
    """Largest weight that reads each channel [C], relative to its output channel's largest, which sets the step."""
    ranges = []
    for reader in readers:
        weight = _by_group(reader).abs()
        step = weight.amax((2, 3), keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)
        ranges.append((weight / step).amax((1, 3)).flatten())
    return torch.stack(ranges).amax(0)


@torch.inference_mode()
def _channel_ranges(folded: Network, found: list[Link], batches: Iterable[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The first batch, and for each link the largest magnitude per channel [C] of its quantized tensors."""
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
            f"equalization changed the FP32 logits by {error:.1e}, relative to the largest",
            expected=f"at most {LIMIT:.0e}",
            next_step="ssr-edge build-engine  (without --equalize)",
        )
