from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ssr_train.models.network import SSResNeXt
from ssr_train.training.gradients import backward
from ssr_train.training.losses import classification_loss
from ssr_train.training.processes import Processes

TARGETS = torch.tensor([0, 1, 1, 2, 5, 7, 7, 7])


def plain_network() -> nn.Module:
    """A network without BatchNorm: images do not influence each other."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(8 * 7 * 7, 8))


def images(size: int = 16) -> Tensor:
    return torch.randn(8, 3, size, size, generator=torch.Generator().manual_seed(1))


def loss_of(logits: Tensor) -> Tensor:
    return classification_loss(logits, TARGETS, 0.5, 0.1)


def gradients(network: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


@pytest.mark.parametrize("count", [2, 4])
def test_micro_batches_have_the_loss_and_the_gradients_of_the_whole_batch(count: int) -> None:
    whole, parts = plain_network().eval(), plain_network().eval()
    expected = backward(whole, [images()], loss_of, Processes(), None)
    found = backward(parts, list(images().chunk(count)), loss_of, Processes(), None)
    assert float(found) == pytest.approx(float(expected), abs=1e-6)
    torch.testing.assert_close(gradients(parts), gradients(whole), rtol=1e-4, atol=1e-7)


def test_training_in_micro_batches_follows_training_without() -> None:
    losses = []
    for count in (1, 4):
        network = plain_network().eval()
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for _ in range(10):
            optimizer.zero_grad()
            losses.append(float(backward(network, list(images().chunk(count)), loss_of, Processes(), None)))
            optimizer.step()
    assert losses[9] < 0.5 * losses[0]
    assert losses[10:] == pytest.approx(losses[:10], abs=1e-5)


def test_batch_norm_sees_each_micro_batch_once(make_network: Callable[..., SSResNeXt]) -> None:
    found, expected = make_network("ssresnext14_8x4d").train(), make_network("ssresnext14_8x4d").train()
    micro_batches = list(images(32).chunk(2))
    backward(found, micro_batches, loss_of, Processes(), None)
    logits = torch.cat([expected(part) for part in micro_batches])
    loss_of(logits).backward()
    torch.testing.assert_close(gradients(found), gradients(expected), rtol=1e-4, atol=1e-6)
    for (name, value), other in zip(found.named_buffers(), expected.buffers(), strict=True):
        assert torch.equal(value, other), name
    batches = found.stem_bn.num_batches_tracked
    assert batches is not None and int(batches) == 2


def test_dropout_is_drawn_once() -> None:
    found, expected = plain_network().train(), plain_network().train()
    micro_batches = list(images().chunk(4))
    torch.manual_seed(5)
    backward(found, micro_batches, loss_of, Processes(), None)
    after = torch.rand(1)
    torch.manual_seed(5)
    loss_of(torch.cat([expected(part) for part in micro_batches])).backward()
    torch.testing.assert_close(gradients(found), gradients(expected), rtol=1e-4, atol=1e-7)
    assert torch.equal(torch.rand(1), after)
