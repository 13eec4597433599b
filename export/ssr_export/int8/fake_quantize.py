"""Simulated INT8 in PyTorch with straight-through gradients, for quantization-aware fine-tuning.

Quantizes the same tensors to the same values as the Q/DQ pairs that `quantize.py` writes: a test compares the network
from `with_fake_quantizers` with the quantized ONNX file.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from ssr_edge.bundle.manifest import QMAX
from ssr_export.int8.quantize import is_quantized_conv
from ssr_train.models.network import Block, Network

# QuantizeLinear uses the full range of int8 for activations; weights are symmetric (`quantize_weight`).
_QMIN_ACTIVATION, _QMIN_WEIGHT = -QMAX - 1, -QMAX


@dataclass(frozen=True)
class ConvRanges:
    """Magnitudes that map to 127, by convolution: of its input and, if a residual addition reads it, of its output."""

    inputs: dict[str, float]
    outputs: dict[str, float]


def ranges_by_conv(model: onnx.ModelProto, ranges: Mapping[str, float]) -> ConvRanges:
    """The ranges of an FP32 model's quantization points, by the name of the module that reads or writes the tensor."""
    convolutions = [node for node in model.graph.node if is_quantized_conv(node)]
    return ConvRanges(
        inputs={node.name: ranges[node.input[0]] for node in convolutions},
        outputs={node.name: ranges[node.output[0]] for node in convolutions if node.output[0] in ranges},
    )


def with_fake_quantizers(folded: Network, ranges: ConvRanges) -> Network:
    """Returns a trainable copy of a folded network that computes like its INT8 model.

    Quantizes the input and the weight of each convolution outside the attention, and the skip input of each residual
    addition; biases, attention and classifier stay in floating point.
    """
    quantized = copy.deepcopy(folded)
    quantized.stem = _QuantizedConv(quantized.stem, ranges.inputs["stem"])  # type: ignore[assignment]
    for name, block in _blocks(quantized):
        # An identity shortcut adds the tensor that conv1 reads, so both share one range.
        skip = ranges.outputs.get(f"{name}.shortcut", ranges.inputs[f"{name}.conv1"])
        for conv in ("conv1", "spatial", "conv3"):
            setattr(block, conv, _QuantizedConv(getattr(block, conv), ranges.inputs[f"{name}.{conv}"]))
        if isinstance(block.shortcut, nn.Conv2d):
            block.shortcut = _QuantizedConv(block.shortcut, ranges.inputs[f"{name}.shortcut"])
        block.shortcut = nn.Sequential(block.shortcut, _FakeQuantizer(skip))
    return quantized


def without_fake_quantizers(quantized: Network) -> Network:
    """The inverse of `with_fake_quantizers`: a copy with the same weights that computes in FP32."""
    plain = copy.deepcopy(quantized)
    plain.stem = _plain(plain.stem)
    for _, block in _blocks(plain):
        for conv in ("conv1", "spatial", "conv3"):
            setattr(block, conv, _plain(getattr(block, conv)))
        assert isinstance(block.shortcut, nn.Sequential)
        shortcut = block.shortcut[0]
        block.shortcut = shortcut if isinstance(shortcut, nn.Identity) else _plain(shortcut)
    return plain


def fake_quantize(values: Tensor, scale: Tensor, qmin: int) -> Tensor:
    """Rounds float32 values to multiples of `scale` from `qmin` to 127, half to even; returns float32.

    scale: positive, broadcastable to the values. The gradient ignores rounding and is zero where a value was clipped
    (straight-through estimator, Bengio et al. 2013, arXiv 1308.3432).
    """
    found: Tensor = _StraightThrough.apply(values, scale, qmin)
    return found


def fake_quantize_weight(weight: Tensor) -> Tensor:
    """float32 [out, in, h, w] -> same shape, rounded per output channel to the values that `quantize_weight` stores."""
    scale = weight.detach().abs().amax((1, 2, 3), keepdim=True) / QMAX
    return fake_quantize(weight, torch.where(scale == 0, 1.0, scale), _QMIN_WEIGHT)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: Tensor, qmin: int) -> Tensor:
        steps = torch.round(values / scale)
        kept = steps.clamp(qmin, QMAX)
        ctx.save_for_backward(kept != steps)
        return kept * scale

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (clipped,) = ctx.saved_tensors
        return torch.where(clipped, 0.0, gradient), None, None


class _FakeQuantizer(nn.Module):
    """Quantizes an activation; its scale is a buffer, so it is saved in the run state and moves with the network."""

    def __init__(self, largest: float) -> None:
        super().__init__()
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(largest / QMAX))

    def forward(self, x: Tensor) -> Tensor:
        """float32 of any shape -> float32 of the same shape."""
        return fake_quantize(x, self.scale, _QMIN_ACTIVATION)


class _QuantizedConv(nn.Module):
    """A convolution with quantized input and weight; quantizes the weight at each call because training changes it."""

    def __init__(self, conv: nn.Conv2d, largest_input: float) -> None:
        super().__init__()
        self.input = _FakeQuantizer(largest_input)
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """float32 [N, in, H, W] -> [N, out, H/stride, W/stride]."""
        weight = fake_quantize_weight(self.conv.weight)
        found: Tensor = self.conv._conv_forward(self.input(x), weight, self.conv.bias)
        return found


def _plain(module: nn.Module) -> nn.Conv2d:
    assert isinstance(module, _QuantizedConv)
    return module.conv


def _blocks(network: Network) -> list[tuple[str, Block]]:
    return [(name, module) for name, module in network.named_modules() if isinstance(module, Block)]
