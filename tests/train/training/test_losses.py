from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from ssr_train.training.losses import classification_loss, dice_loss

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0], [0.0, 0.0, 0.0], [-1.0, 3.0, 1.0]], dtype=torch.float64)
TARGETS = torch.tensor([0, 1, 1, 2])


def by_hand() -> float:
    probabilities = []
    for row in LOGITS.tolist():
        exponentials = [math.exp(value) for value in row]
        probabilities.append([value / sum(exponentials) for value in exponentials])
    scores = []
    for label in range(3):
        predicted = sum(row[label] for row in probabilities)
        overlap = sum(
            row[label] for row, target in zip(probabilities, TARGETS.tolist(), strict=True) if target == label
        )
        scores.append((2 * overlap + 1) / (predicted + TARGETS.tolist().count(label) + 1))
    return 1 - sum(scores) / 3


def test_dice_by_hand() -> None:
    assert float(dice_loss(LOGITS, TARGETS)) == pytest.approx(by_hand(), rel=1e-12)


def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_much() -> None:
    targets = torch.arange(8).repeat(2)
    right = 40 * F.one_hot(targets, 8).double()
    wrong = 40 * F.one_hot((targets + 1) % 8, 8).double()
    assert float(classification_loss(right, targets, 0.5, 0.0)) < 1e-12
    # Two images a class, none found: Dice 1 - (0 + 1) / (2 + 2 + 1), cross-entropy the whole margin.
    assert float(dice_loss(wrong, targets)) == pytest.approx(1 - 1 / 5)
    assert float(classification_loss(wrong, targets, 0.5, 0.0)) == pytest.approx((40 + 0.8) / 2)


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5, 1.0])
def test_the_two_losses_are_weighed(weight: float) -> None:
    expected = (1 - weight) * float(F.cross_entropy(LOGITS, TARGETS)) + weight * by_hand()
    assert float(classification_loss(LOGITS, TARGETS, weight, 0.0)) == pytest.approx(expected, rel=1e-12)


def test_label_smoothing_gives_every_class_its_share() -> None:
    logs = F.log_softmax(LOGITS, dim=1)
    truth = 0.9 * F.one_hot(TARGETS, 3).double() + 0.1 / 3
    expected = float(-(truth * logs).sum(dim=1).mean())
    assert float(classification_loss(LOGITS, TARGETS, 0.0, 0.1)) == pytest.approx(expected, rel=1e-12)


def test_gradients_are_those_of_finite_differences() -> None:
    logits = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: classification_loss(x, TARGETS, 0.5, 0.1), logits)
