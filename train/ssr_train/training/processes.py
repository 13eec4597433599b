"""The processes that train one network together (torchrun), each on its share of every batch; alone there is one.

    torchrun --nproc-per-node 2 -- "$(which ssr-edge)" train --data BreaKHis_v1 --run runs/NAME

Together they compute what one process would: the same batches, BatchNorm over the whole batch, the loss of the whole
batch. Every one of them must see the images and the run's folder; only the first one writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from ssr_edge.common.errors import TrainingError, UsageError
from ssr_train.training.batch_norm import with_global_batch_norm


@dataclass(frozen=True)
class Processes:
    """rank: which of them this one is, from 0. count: how many there are."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this one writes and speaks."""
        return self.rank == 0

    def share(self, rows: slice) -> slice:
        """The part of a batch's rows that this process computes."""
        length = (rows.stop - rows.start) // self.count
        return slice(rows.start + self.rank * length, rows.start + (self.rank + 1) * length)

    def gather(self, mine: Tensor) -> Tensor:
        """[n, ...] of each process -> [count * n, ...], the same in all. Gradients flow into one's own rows only."""
        if self.count == 1:
            return mine
        parts = [torch.empty_like(mine) for _ in range(self.count)]
        distributed.all_gather(parts, mine.detach().contiguous())
        parts[self.rank] = mine
        return torch.cat(parts)

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network with gradients that are the mean over the processes."""
        if self.count == 1:
            return network
        # Buffers need no copying around: each process finds the same statistics.
        return nn.parallel.DistributedDataParallel(network, broadcast_buffers=False)

    def prepare(self, network: nn.Module, device: torch.device) -> None:
        """Gives the network's BatchNorms the statistics of all processes' images, in place; names and weights stay."""
        if self.count > 1:
            with_global_batch_norm(network, device)

    def check_agreement(self, facts: dict[str, object]) -> None:
        """Compares what every process found.

        Raises:
            TrainingError: they found different things, and would wait for one another for ever.
        """
        if self.count == 1:
            return
        found: list[dict[str, object]] = [{}] * self.count
        distributed.all_gather_object(found, facts)
        for name, value in facts.items():
            values = [other[name] for other in found]
            if any(other != value for other in values):
                raise TrainingError(
                    f"the processes disagree about the {name}: {', '.join(map(str, values))}",
                    expected="the same images and the same run folder for every process",
                    next_step="put both on a disk that all machines see, then start all of them again",
                )


def process_count() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_rank() -> int:
    """Which of them this is, counted from 0."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """Joins the others that torchrun started, if any, for the time of the block."""
    if process_count() == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def check_batch(images: int, processes: Processes, accumulate: int) -> None:
    """Refuses a batch that can't be divided evenly.

    Raises:
        UsageError: some process or micro-batch would get fewer images than another, or a single one.
    """
    shares = processes.count * accumulate
    if shares > 1 and (images % shares or images // accumulate < 2):
        raise UsageError(
            f"a batch of {images} images for {processes.count} processes and {accumulate} micro-batches",
            expected=f"a batch_size that {shares} divides, and two images a micro-batch",
            next_step="change batch_size in the recipe, --accumulate or --nproc-per-node",
        )
