"""The gradients of a batch's loss, also where the batch is computed in parts: by processes, or in micro-batches."""

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
    """Adds the gradients of the whole batch's loss to the network's parameters and returns the loss, detached.

    micro_batches: this process's images, float [n, 3, h, w] each. loss_of: takes the logits of the whole batch, float32
    [all, classes]: those of micro-batch after micro-batch, each with the rows of all processes. dtype: for autocast.

    Dice is a ratio of sums over the batch, so the losses of micro-batches don't add up to the batch's. Several are
    computed twice therefore: first without a graph, for the logits and the gradient of the loss by them, then once more
    to pass that gradient on (Gao et al. 2021, arXiv 2101.06983). Only BatchNorm knows of the difference: it sees a
    micro-batch at a time.
    """

    def forward(images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
            logits: Tensor = network(images)
        return logits.float()

    # The mean over processes is taken of their gradients, and their sum is meant: hence the factor.
    if len(micro_batches) == 1:
        loss = loss_of(processes.gather(forward(micro_batches[0])))
        (loss * processes.count).backward()  # type: ignore[no-untyped-call]
        return loss.detach()
    with torch.no_grad(), as_if_never_called(network):
        logits = [forward(images) for images in micro_batches]
    for part in logits:
        part.requires_grad_()
    loss = loss_of(torch.cat([processes.gather(part) for part in logits]))
    loss.backward()  # type: ignore[no-untyped-call]
    for number, (images, part) in enumerate(zip(micro_batches, logits, strict=True), start=1):
        assert part.grad is not None
        with _unsynchronized(network) if number < len(logits) else nullcontext():
            forward(images).backward(part.grad * processes.count)  # type: ignore[no-untyped-call]
    return loss.detach()


@contextmanager
def as_if_never_called(network: nn.Module) -> Iterator[None]:
    """Puts back what a forward pass moves: running statistics, and the generator that dropout draws from."""
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
