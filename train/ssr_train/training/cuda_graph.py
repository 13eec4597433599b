"""A training step's two passes as CUDA graphs: launching a small batch's kernels takes longer than computing them.

One by one, those of SSResNeXt-50 kept an H100 waiting at batch 16 (docs/measurements/training.md).
"""

from __future__ import annotations

import warnings

import torch

from ssr_train.models.network import Network
from ssr_train.training.gradients import as_if_never_called


def record_graphs(network: Network, batch_size: int, size: int, dtype: torch.dtype | None) -> None:
    """Makes the network's training passes replay graphs, until it is called again for another shape.

    In training mode it then takes float32 [batch_size, 3, size, size], channels last, and nothing else; in evaluation
    mode it is what it was. Its parameters must stay where they are in memory. dtype: for autocast; None computes as the
    weights are. Weights, buffers and random state are as before.
    """
    # PyTorch's own recording sets this off; a step later nothing is left that it speaks of.
    warnings.filterwarnings("ignore", "The AccumulateGrad node's stream does not match")
    # What an earlier call put in its place; its graphs and their memory go with it.
    network.__dict__.pop("forward", None)
    device = next(network.parameters()).device
    sample = torch.randn(batch_size, 3, size, size, device=device).to(memory_format=torch.channels_last)
    # The cache of cast weights would outlive the step in which they were cast.
    with (
        as_if_never_called(network),
        torch.autocast(device.type, dtype, enabled=dtype is not None, cache_enabled=False),
    ):
        torch.cuda.make_graphed_callables(network, (sample,))
