"""The gradients of the loss of a batch, which may be divided among processes or into micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from ssr_train.training.processes import Processes


def backward(
    network: nn.Module,
    micro_batches: Sequence[Tensor],
    loss_of: Callable[[Tensor], Tensor],
    processes: Processes,
    dtype: torch.dtype | None,
) -> Tensor:
    """Adds the gradients of the loss of the whole batch to the parameters and returns the loss, detached.

    micro_batches: the images of this process, float [n, 3, h, w] each. loss_of: takes the logits of the whole batch,
    float32 [all, classes], ordered by micro-batch, then by process. dtype: for autocast.

    Dice is a ratio of sums over the batch, so the losses of micro-batches do not add up to the loss of the batch.
    Several micro-batches are therefore computed twice: first without a graph, for the logits and the gradient of the
    loss with respect to them, then again to backpropagate that gradient (Gao et al. 2021, arXiv 2101.06983). Only
    BatchNorm differs from a whole batch: its statistics are those of a micro-batch.
    """

    def forward(images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
            logits: Tensor = network(images)
        return logits.float()

    # DistributedDataParallel averages the gradients over processes, but their sum is needed: hence the factor.
    if len(micro_batches) == 1:
        loss = loss_of(processes.gather(forward(micro_batches[0])))
        (loss * processes.count).backward()  # type: ignore[no-untyped-call]
        return loss.detach()
    with torch.no_grad(), state_restored(network):
        logits = [forward(images) for images in micro_batches]
    for chunk in logits:
        chunk.requires_grad_()
    loss = loss_of(torch.cat([processes.gather(chunk) for chunk in logits]))
    loss.backward()  # type: ignore[no-untyped-call]
    for number, (images, chunk) in enumerate(zip(micro_batches, logits, strict=True), start=1):
        assert chunk.grad is not None
        with _unsynchronized(network) if number < len(logits) else nullcontext():
            forward(images).backward(chunk.grad * processes.count)  # type: ignore[no-untyped-call]
    return loss.detach()


@contextmanager
def state_restored(network: nn.Module) -> Iterator[None]:
    """Restores what forward passes in the block change: running statistics and the state of the random generators."""
    before = [buffer.clone() for buffer in network.buffers()]
    devices = [buffer.device for buffer in network.buffers() if buffer.is_cuda][:1]
    with torch.random.fork_rng(devices):
        yield
    for buffer, value in zip(network.buffers(), before, strict=True):
        buffer.copy_(value)


@contextmanager
def _unsynchronized(network: nn.Module) -> Iterator[None]:
    if isinstance(network, nn.parallel.DistributedDataParallel):
        with network.no_sync():
            yield
    else:
        yield
