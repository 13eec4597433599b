"""Data-parallel training with torchrun: each process computes a share of every batch. Without torchrun there is one.

    torchrun --nproc-per-node 2 -- "$(which ssr-edge)" train --data BreaKHis_v1 --run runs/NAME

The processes compute the same as a single one: the same batches, BatchNorm and loss over the whole batch. Each needs
access to the images and to the folder of the run; only the first process writes.
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
    """The group of processes. rank: number of this process, from 0. count: number of processes."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def share(self, rows: slice) -> slice:
        """The rows of a batch that this process computes."""
        length = (rows.stop - rows.start) // self.count
        return slice(rows.start + self.rank * length, rows.start + (self.rank + 1) * length)

    def gather(self, mine: Tensor) -> Tensor:
        """[n, ...] of each process -> [count * n, ...], equal in all. Gradients flow only into the own rows."""
        if self.count == 1:
            return mine
        gathered = [torch.empty_like(mine) for _ in range(self.count)]
        distributed.all_gather(gathered, mine.detach().contiguous())
        gathered[self.rank] = mine
        return torch.cat(gathered)

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network with gradients averaged over the processes."""
        if self.count == 1:
            return network
        # Buffers need no broadcast: each process computes the same statistics.
        return nn.parallel.DistributedDataParallel(network, broadcast_buffers=False)

    def prepare(self, network: nn.Module, device: torch.device) -> None:
        """Makes BatchNorm use the images of all processes, in place; names and weights don't change."""
        if self.count > 1:
            with_global_batch_norm(network, device)

    def check_agreement(self, facts: dict[str, object]) -> None:
        """Checks that `facts` are equal in all processes.

        Raises:
            TrainingError: they differ; without this check the processes would wait for each other forever.
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
                    next_step="put both on a disk shared by all machines, then start all processes again",
                )


def process_count() -> int:
    """Number of processes that torchrun started; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """Joins the process group of torchrun, if any, for the duration of the block."""
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
        UsageError: processes or micro-batches would get different numbers of images, or a single image.
    """
    shares = processes.count * accumulate
    if shares > 1 and (images % shares or images // accumulate < 2):
        raise UsageError(
            f"a batch of {images} images for {processes.count} processes and {accumulate} micro-batches",
            expected=f"a batch_size divisible by {shares}, and at least two images per micro-batch",
            next_step="change batch_size in the recipe, --accumulate or --nproc-per-node",
        )
