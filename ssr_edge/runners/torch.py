"""Runs a checkpoint's network as it was trained in PyTorch, FP32 eager: the baseline of every engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssr_edge.errors import RuntimeUnavailable
from ssr_edge.preprocess import Image
from ssr_edge.runners.base import Outputs, Runner

if TYPE_CHECKING:
    from ssr_train.network import Network

RUNTIME = "torch"
MAX_BATCH = 64


class TorchRunner(Runner):
    """Synchronous: `submit` computes, `collect` hands over. Needs no bundle, but the training stage's packages."""

    def __init__(self, arch: dict[str, Any], checkpoint: Path | None) -> None:
        """Builds the network. arch: as in a manifest. checkpoint: its weights; None for random ones.

        Raises:
            RuntimeUnavailable: PyTorch or the training stage is not installed.
            CheckpointError: the checkpoint can't be used.
        """
        try:
            import torch

            from ssr_train import dataset
            from ssr_train.arch import arch_from_dict
            from ssr_train.build import build_network
            from ssr_train.checkpoint import load_checkpoint
        except ImportError as error:
            raise RuntimeUnavailable(
                f"the PyTorch baseline can't be imported: {error}",
                expected="the packages of the train extra",
                next_step="pip install 'ssr-edge[train]'",
            ) from error
        self._torch, self._dataset = torch, dataset
        self.runtime, self.precision, self.slots, self.max_batch = RUNTIME, "fp32", 1, MAX_BATCH
        self.version, self.device = torch.__version__, f"CPU, {torch.get_num_threads()} threads"
        self._network: Network
        if checkpoint is None:
            self._network, self.origin = build_network(arch_from_dict(arch)).eval(), "random weights"
        else:
            self._network, self.origin = load_checkpoint(checkpoint)[0], str(checkpoint)
        self._open: dict[int, Outputs] = {}
        self._tickets = 0

    def submit(self, images: Image) -> int:
        """See Runner."""
        torch = self._torch
        with torch.inference_mode():
            logits = self._network(self._dataset.normalise(self._dataset.to_rgb(images)))  # [n, 8]
            probabilities = torch.softmax(logits, dim=1)
        self._tickets += 1
        self._open[self._tickets] = Outputs(logits.numpy(), probabilities.numpy())
        return self._tickets

    def collect(self, ticket: int) -> Outputs:
        """See Runner."""
        return self._open.pop(ticket)

    def close(self) -> None:
        """See Runner."""
        del self._network
