from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ssr_edge.common.errors import TrainingError
from ssr_train.models.network import SSResNeXt
from ssr_train.training.state import STATE, load_state, save_state

MakeNetwork = Callable[..., SSResNeXt]
TINY = "ssresnext14_8x4d"


class Parts:
    """The objects whose state the loop saves between epochs."""

    def __init__(self, network: SSResNeXt) -> None:
        self.network = network.train()
        self.averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)

    def step(self, images: Tensor) -> None:
        self.optimizer.zero_grad()
        self.network(images).square().mean().backward()
        self.optimizer.step()
        self.averaged.update_parameters(self.network)

    def save(self, run: Path, epoch: int) -> None:
        save_state(run, epoch, self.network, self.averaged, self.optimizer)

    def load(self, run: Path) -> int:
        return load_state(run, self.network, self.averaged, self.optimizer)

    def everything(self) -> dict[str, Tensor]:
        tensors = {f"n.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"a.{k}": v for k, v in self.averaged.state_dict().items()}
        states = self.optimizer.state_dict()["state"]
        return tensors | {f"o.{n}.{k}": v for n, values in states.items() for k, v in values.items()}


def images(seed: int) -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_the_next_step_is_the_same_bit_by_bit(tmp_path: Path, make_network: MakeNetwork) -> None:
    first = Parts(make_network(TINY))
    first.step(images(1))
    first.step(images(2))
    first.save(tmp_path, 7)
    second = Parts(make_network(TINY, seed=9))
    assert second.load(tmp_path) == 7
    for parts in (first, second):
        parts.step(images(3))
    expected, found = first.everything(), second.everything()
    assert found.keys() == expected.keys()
    assert any(name.endswith("exp_avg_sq") for name in found)
    assert [name for name, tensor in expected.items() if not torch.equal(tensor, found[name])] == []


def test_without_a_state_no_epoch_is_done(tmp_path: Path, make_network: MakeNetwork) -> None:
    parts = Parts(make_network(TINY))
    before = {name: tensor.clone() for name, tensor in parts.everything().items()}
    assert parts.load(tmp_path) == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in parts.everything().items())


def test_a_later_state_replaces_an_earlier_one(tmp_path: Path, make_network: MakeNetwork) -> None:
    parts = Parts(make_network(TINY))
    for epoch in (1, 2):
        parts.save(tmp_path, epoch)
    assert [path.name for path in tmp_path.iterdir()] == [STATE]
    assert parts.load(tmp_path) == 2


def test_a_state_of_another_network_is_refused(tmp_path: Path, make_network: MakeNetwork) -> None:
    Parts(make_network(TINY)).save(tmp_path, 1)
    with pytest.raises(TrainingError) as raised:
        Parts(make_network(f"{TINY}/shared")).load(tmp_path)
    assert "another network" in raised.value.found


@settings(max_examples=20)
@given(st.binary(max_size=50))
def test_a_damaged_state_is_refused(tmp_path: Path, make_network: MakeNetwork, content: bytes) -> None:
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(TrainingError) as raised:
        Parts(make_network(TINY)).load(tmp_path)
    assert "damaged" in raised.value.found


def test_a_truncated_state_is_refused(tmp_path: Path, make_network: MakeNetwork) -> None:
    parts = Parts(make_network(TINY))
    parts.save(tmp_path, 1)
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:-1])
    with pytest.raises(TrainingError) as raised:
        parts.load(tmp_path)
    assert "damaged" in raised.value.found
