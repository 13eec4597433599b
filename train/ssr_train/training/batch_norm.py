"""BatchNorm over the images of all processes: what makes several of them compute what one would."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


def with_global_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Replaces a network's BatchNorm2d in place; parameters, buffers and their names stay, and so do checkpoints.

    On a GPU by PyTorch's own SyncBatchNorm, which a CPU lacks, else by `GlobalBatchNorm2d`.
    """
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, GlobalBatchNorm2d.of(child))


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d whose training statistics are those of all processes' images; each must have as many."""

    @staticmethod
    def of(plain: nn.BatchNorm2d) -> GlobalBatchNorm2d:
        """One that shares the parameters and buffers of `plain`."""
        assert plain.affine and plain.track_running_stats and plain.momentum is not None
        shared = GlobalBatchNorm2d(plain.num_features, plain.eps, plain.momentum, device="meta")
        shared._parameters = plain._parameters
        shared._buffers = plain._buffers
        return shared.train(plain.training)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same."""
        if not self.training:
            return super().forward(x)
        x = x.float()
        # In two passes over the values: the mean of squares less the squared mean loses digits to cancellation.
        mean = _mean_over_processes(x.mean((0, 2, 3)))
        centered = x - mean.view(1, -1, 1, 1)
        variance = _mean_over_processes(centered.square().mean((0, 2, 3)))
        self._follow(mean.detach(), variance.detach(), x.numel() // x.shape[1] * distributed.get_world_size())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centered * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Moves the running statistics, as nn.BatchNorm2d does, by the unbiased variance of `count` values."""
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)


class _Sum(torch.autograd.Function):
    """The sum over processes; as each one's value moves all sums, the gradient is the sum of all gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone().contiguous()
        distributed.all_reduce(total)
        return total


def _mean_over_processes(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)
    return total / distributed.get_world_size()
