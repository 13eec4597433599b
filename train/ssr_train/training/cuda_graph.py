"""Records the forward and backward pass of a training step as CUDA graphs.

With small batches, launching kernels takes longer than running them: SSResNeXt-50 left an H100 idle at batch 16
(docs/measurements/training.md).
"""

from __future__ import annotations

import warnings

import torch

from ssr_train.models.network import Network
from ssr_train.training.gradients import state_restored


def record_graphs(network: Network, batch_size: int, size: int, dtype: torch.dtype | None) -> None:
    """Makes the network replay graphs in training, until this is called again for another shape.

    In training mode, the network then only accepts float32 [batch_size, 3, size, size], channels last; evaluation mode
    does not change. Its parameters must not move in memory. dtype: for autocast; None uses the dtype of the weights.
    Weights, buffers and random state are not changed.
    """
    # PyTorch's own recording causes this warning; it does not apply to the steps after it.
    warnings.filterwarnings("ignore", "The AccumulateGrad node's stream does not match")
    # Removes the graphs of an earlier call and frees their memory.
    network.__dict__.pop("forward", None)
    device = next(network.parameters()).device
    sample = torch.randn(batch_size, 3, size, size, device=device).to(memory_format=torch.channels_last)
    # Without the cache of autocast, whose cast weights would be reused in later steps.
    with (
        state_restored(network),
        torch.autocast(device.type, dtype, enabled=dtype is not None, cache_enabled=False),
    ):
        torch.cuda.make_graphed_callables(network, (sample,))
