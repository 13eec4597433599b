"""Runs a network in PyTorch FP32: as trained (the baseline of all engines), folded, or compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.common.install_hint import install_hint
from ssr_edge.images.preprocess import Image
from ssr_edge.runners.base import Outputs, Runner

RUNTIME = "torch"
# Eager as trained; eager and folded, as in engines; folded with torch.compile.
FORMS = ("torch", "torch-folded", "torch-compile")
MAX_BATCH = 64


class TorchRunner(Runner):
    """A synchronous runner: `submit` computes, `collect` returns. Needs no bundle, but the packages of training."""

    def __init__(self, arch: dict[str, Any], checkpoint: Path | None, form: str = "torch") -> None:
        """Builds the network. arch: as in a manifest. checkpoint: weights; None for random ones. form: one of FORMS.

        torch.compile generates code for one shape in a minute or more, so this form takes one image per call.

        Raises:
            RuntimeUnavailable: the packages of training, or of export for a folded form, are not installed.
            CheckpointError: the checkpoint can't be used.
        """
        try:
            import torch

            from ssr_train.data import dataset
            from ssr_train.models.arch import arch_from_dict
            from ssr_train.models.build import build_network
            from ssr_train.training.checkpoint import load_checkpoint

            if form != "torch":
                from ssr_export.folding.fold import fold
        except ImportError as error:
            extra = "train" if form == "torch" else "export"
            raise RuntimeUnavailable(
                f"the PyTorch baseline can't be imported: {error}",
                expected=f"the packages of the {extra} extra",
                next_step=install_hint(extra),
            ) from error
        self._torch, self._dataset = torch, dataset
        self.runtime, self.precision, self.slots = form, "fp32", 1
        self.max_batch = 1 if form == "torch-compile" else MAX_BATCH
        self.version, self.device, self.threads = torch.__version__, "CPU", torch.get_num_threads()
        if checkpoint is None:
            network, self.origin = build_network(arch_from_dict(arch)).eval(), "random weights"
        else:
            network, self.origin = load_checkpoint(checkpoint)[0], str(checkpoint)
        if form != "torch":
            network = fold(network).float()
        self.network: Any = torch.compile(network, dynamic=False) if form == "torch-compile" else network
        self._open: dict[int, Outputs] = {}
        self._tickets = 0

    def submit(self, images: Image) -> int:
        """See Runner."""
        torch = self._torch
        with torch.inference_mode():
            logits = self.network(self._dataset.normalize(self._dataset.to_rgb(images)))  # [n, 8]
            probabilities = torch.softmax(logits, dim=1)
        self._tickets += 1
        self._open[self._tickets] = Outputs(logits.numpy(), probabilities.numpy())
        return self._tickets

    def collect(self, ticket: int) -> Outputs:
        """See Runner."""
        return self._open.pop(ticket)

    def close(self) -> None:
        """See Runner."""
        del self.network
