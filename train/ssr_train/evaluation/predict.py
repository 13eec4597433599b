"""Evaluates a network on labeled images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ssr_edge.evaluation.metrics import Metrics, measure
from ssr_train.data.dataset import LabeledImages, normalize

# Larger batches are not faster on a CPU; on a GPU a large batch takes hardly longer than a small one.
_BATCH, _GPU_BATCH = 16, 64


@torch.inference_mode()
def evaluate_images(
    network: nn.Module, images: LabeledImages, device: torch.device, dtype: torch.dtype | None
) -> tuple[Metrics, Tensor]:
    """Metrics and float32 logits [n, classes] of a network on images of its input size.

    dtype: autocast precision; None computes in FP32, also on a GPU, where TF32 is turned off. The network is left in
    evaluation mode.
    """
    network.eval()
    logits = []
    size = _BATCH if device.type == "cpu" else _GPU_BATCH
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for start in range(0, len(images), size):
            batch = normalize(images.rgb(slice(start, start + size)).to(device))
            with torch.autocast(device.type, dtype, enabled=dtype is not None):
                logits.append(network(batch.to(memory_format=torch.channels_last)).float().cpu())
    all_logits = torch.cat(logits)
    return measure(images.targets.numpy(), all_logits.argmax(dim=1).numpy().astype(np.int64)), all_logits
