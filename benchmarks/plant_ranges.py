"""Writes a checkpoint with bad ranges for INT8 but the same FP32 results: the `planted` network of docs/precision.md.

    python benchmarks/plant_ranges.py ssr_edge/demo/weights.safetensors planted.safetensors

In each block the outputs of the branch BatchNorms are multiplied by 1 to 100 by channel, and the weights that read them
are divided by the same factors, so that an INT8 step that fits the largest channel is too coarse for most others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ssr_train.models.network import Block, ParallelKernels, SqueezeExcite
from ssr_train.training.checkpoint import load_checkpoint, save_checkpoint


def main() -> None:
    """Reads a checkpoint and writes the planted one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("planted", type=Path)
    asked = parser.parse_args()
    network, card = load_checkpoint(asked.checkpoint)
    generator = torch.Generator().manual_seed(0)
    for block in network.modules():
        if isinstance(block, Block):
            _plant(block, generator)
    save_checkpoint(asked.planted, network, card)


@torch.no_grad()
def _plant(block: Block, generator: torch.Generator) -> None:
    assert isinstance(block.spatial, ParallelKernels) and isinstance(block.attention, SqueezeExcite)
    channels = block.conv3.in_channels
    factor = torch.logspace(0, 2, channels)[torch.randperm(channels, generator=generator)]
    for bn in (block.spatial.square_bn, block.spatial.row_bn, block.spatial.column_bn):
        bn.weight.mul_(factor)
        bn.bias.mul_(factor)
    for reader in (block.attention.reduce, block.conv3):
        reader.weight /= factor.view(1, -1, 1, 1)


if __name__ == "__main__":
    main()
