"""The paper's loss: cross-entropy and Dice, half each (section 3.3)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Soft Dice over a batch: 1 - mean over classes of (2 |P.Y| + 1) / (|P| + |Y| + 1).

    logits: float [n, classes]. targets: int64 [n]. The 1 nearly cancels classes missing from the batch.
    """
    probabilities = F.softmax(logits, dim=1)
    truth = F.one_hot(targets, logits.shape[1]).to(probabilities.dtype)
    overlap = (probabilities * truth).sum(dim=0)
    total = probabilities.sum(dim=0) + truth.sum(dim=0)
    return 1 - ((2 * overlap + 1) / (total + 1)).mean()


def classification_loss(logits: Tensor, targets: Tensor, dice_weight: float, label_smoothing: float) -> Tensor:
    """(1 - dice_weight) x cross-entropy + dice_weight x Dice. logits: float [n, classes]. targets: int64 [n]."""
    entropy = F.cross_entropy(logits, targets, label_smoothing=label_smoothing)
    if dice_weight == 0:
        return entropy
    return (1 - dice_weight) * entropy + dice_weight * dice_loss(logits, targets)
