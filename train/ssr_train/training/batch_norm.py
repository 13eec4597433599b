"""BatchNorm over the images of all processes, so that several processes compute the same as one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


def with_global_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Replaces each BatchNorm2d of a network in place; parameters, buffers, their names and checkpoints don't change.

    Uses PyTorch's SyncBatchNorm on a GPU; it does not support CPUs, which use `GlobalBatchNorm2d`.
    """
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, GlobalBatchNorm2d.of(child))


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d with training statistics over the images of all processes, the same number in each."""

    @staticmethod
    def of(plain: nn.BatchNorm2d) -> GlobalBatchNorm2d:
        """Makes one that shares the parameters and buffers of `plain`."""
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
        # Two passes: the mean of squares minus the squared mean loses precision by cancellation.
        mean = _mean_over_processes(x.mean((0, 2, 3)))
        centered = x - mean.view(1, -1, 1, 1)
        variance = _mean_over_processes(centered.square().mean((0, 2, 3)))
        self._update(mean.detach(), variance.detach(), x.numel() // x.shape[1] * distributed.get_world_size())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centered * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Updates the running statistics like nn.BatchNorm2d, with the unbiased variance of `count` values."""
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)


class _Sum(torch.autograd.Function):
    """The sum over processes. Each value contributes to the sum in every process, so its gradient is a sum, too."""

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
