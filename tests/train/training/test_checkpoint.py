from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import CheckpointError
from ssr_train.models.arch import ArchConfig
from ssr_train.models.folded import is_folded, take_folded_form
from ssr_train.models.network import SSResNeXt
from ssr_train.training.checkpoint import CheckpointCard, load_checkpoint, save_checkpoint

MakeNetwork = Callable[..., SSResNeXt]


@pytest.fixture
def card(tiny_checkpoint: Path) -> CheckpointCard:
    return load_checkpoint(tiny_checkpoint)[1]


@pytest.fixture
def small_file(tmp_path: Path) -> bytes:
    """A checkpoint-like file of a few hundred bytes, small enough to try every kind of damage."""
    save_file({"a": torch.ones(3)}, tmp_path / "small", metadata={"ssr_edge": "{}"})
    return (tmp_path / "small").read_bytes()


def test_weights_and_card_come_back(tmp_path: Path, make_network: MakeNetwork, card: CheckpointCard) -> None:
    network = make_network("ssresnext14_8x4d", seed=5).train()
    save_checkpoint(tmp_path / "x.safetensors", network, card)
    loaded, loaded_card = load_checkpoint(tmp_path / "x.safetensors")
    assert loaded_card == card
    assert not loaded.training
    assert loaded.state_dict().keys() == network.state_dict().keys()
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in network.state_dict().items())


def test_the_card_keeps_the_split_and_the_classes(tiny_checkpoint: Path, card: CheckpointCard) -> None:
    split = card.to_split()
    assert (split.kind, split.seed) == ("image", 0)
    assert list(split.parts.values()).count("train") == 55
    assert card.classes == list(CLASSES)


def test_the_half_size_file_rounds_weights_and_leaves_batchnorm_alone(
    tmp_path: Path, make_network: MakeNetwork, card: CheckpointCard
) -> None:
    network = make_network("ssresnext14_8x4d")
    save_checkpoint(tmp_path / "full", network, card)
    save_checkpoint(tmp_path / "half", network, card, half=True)
    assert (tmp_path / "half").stat().st_size < 0.6 * (tmp_path / "full").stat().st_size
    loaded, _ = load_checkpoint(tmp_path / "half")
    for name, tensor in network.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == tensor.dtype
        torch.testing.assert_close(found, tensor, rtol=2**-11 if tensor.dim() >= 2 else 0, atol=2**-24)


def test_a_folded_network_comes_back_folded(tmp_path: Path, card: CheckpointCard) -> None:
    network = SSResNeXt(ArchConfig.from_dict(card.arch))
    take_folded_form(network)
    folded_card = card.model_copy(update={"folded": True, "fine_tuned_from": "0123abcd"})
    save_checkpoint(tmp_path / "x.safetensors", network, folded_card, half=True)
    loaded, loaded_card = load_checkpoint(tmp_path / "x.safetensors")
    assert loaded_card == folded_card
    assert is_folded(loaded) and str(loaded) == str(network)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=2**-11, atol=2**-24)


def test_folded_weights_under_an_unfolded_card_are_refused(
    tmp_path: Path, make_network: MakeNetwork, card: CheckpointCard
) -> None:
    folded = make_network("ssresnext14_8x4d")
    take_folded_form(folded)
    for network, folded_in_card in ((folded, False), (make_network("ssresnext14_8x4d"), True)):
        path = tmp_path / "x.safetensors"
        save_checkpoint(path, network, card.model_copy(update={"folded": folded_in_card}))
        with pytest.raises(CheckpointError) as raised:
            load_checkpoint(path)
        assert "do not fit ssresnext14_8x4d" in raised.value.found


def test_a_card_written_before_fine_tuning_is_read(tmp_path: Path, tiny_checkpoint: Path, card: CheckpointCard) -> None:
    with safe_open(tiny_checkpoint, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    older = card.model_dump_json(exclude={"folded", "fine_tuned_from"})
    save_file(state, tmp_path / "older", metadata={"ssr_edge": older})
    assert load_checkpoint(tmp_path / "older")[1] == card


def test_writing_over_a_checkpoint_leaves_nothing_else_behind(
    tmp_path: Path, make_network: MakeNetwork, card: CheckpointCard
) -> None:
    path = tmp_path / "run" / "checkpoint.safetensors"
    for seed in (1, 2):
        save_checkpoint(path, make_network("ssresnext14_8x4d", seed), card)
    assert list(path.parent.iterdir()) == [path]
    expected = make_network("ssresnext14_8x4d", 2).classifier.weight
    assert torch.equal(load_checkpoint(path)[0].classifier.weight, expected)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "no.safetensors", tmp_path):
        with pytest.raises(CheckpointError) as raised:
            load_checkpoint(path)
        assert f"{path} can't be read" in raised.value.found


@given(st.data())
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, small_file: bytes, data: st.DataObject) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(small_file[: data.draw(st.integers(0, len(small_file) - 1))])
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


@given(st.one_of(st.binary(max_size=64), st.binary(max_size=64).map(lambda b: len(b).to_bytes(8, "little") + b)))
def test_random_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "random.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


def test_a_real_checkpoint_that_lost_its_end_is_refused(tmp_path: Path, tiny_checkpoint: Path) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(tiny_checkpoint.read_bytes()[:-1])
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(path)
    assert f"{path} can't be read" in raised.value.found


def test_a_header_that_claims_an_exabyte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    path.write_bytes((10**18).to_bytes(8, "little") + b'{"a":1}')
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(path)
    assert f"{path} can't be read" in raised.value.found


class _Trap:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self._path,)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    for path, write in ((tmp_path / "a.pth", torch.save), (tmp_path / "b.pkl", _dump)):
        write({"state_dict": _Trap(trap)}, path)
        with pytest.raises(CheckpointError):
            load_checkpoint(path)
    assert not trap.exists()


def _dump(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value))


def test_a_safetensors_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": torch.ones(3)}, path, metadata=metadata)
        with pytest.raises(CheckpointError) as raised:
            load_checkpoint(path)
        assert "not an ssr-edge checkpoint" in raised.value.found


@pytest.mark.parametrize("card", ["{}", "[]", "no json", '{"arch": 1}'])
def test_a_card_of_another_version_is_refused(tmp_path: Path, card: str) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"weight": torch.ones(3)}, path, metadata={"ssr_edge": card})
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(path)
    assert "card" in raised.value.found


@pytest.mark.parametrize(
    "change",
    [
        {"blocks": [2, 1, 1, 1]},
        {"blocks": [1, 1, 1]},
        {"stem_width": 8},
        {"groups": 4},
        {"kernels": "shared"},
        {"se_reduction": 0},
    ],
)
def test_weights_of_another_network_are_refused(
    tmp_path: Path, tiny_checkpoint: Path, card: CheckpointCard, change: dict[str, object]
) -> None:
    path = _with_arch(tiny_checkpoint, card, card.arch | change, tmp_path)
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(path)
    assert "do not fit ssresnext14_8x4d" in raised.value.found


@pytest.mark.parametrize(
    "arch",
    [
        {},
        {"name": "x"},
        {"name": "x", "blocks": 3},
        {"name": "x", "blocks": ["a", "b", "c", "d"]},
        {"name": "x", "blocks": [1, 1, 1, 1], "depth": 9},
        {"name": "x", "blocks": [1, 1, 1, 1], "kernels": "round"},
        {"name": "x", "blocks": [1, 1, 1, 1], "groups": 0},
        {"name": "x", "blocks": [1, 1, 1, 1], "groups": 7},
        {"name": "x", "blocks": [1, 1, 1, 1], "stem_width": "wide"},
    ],
)
def test_a_card_that_describes_no_network_is_refused(
    tmp_path: Path, tiny_checkpoint: Path, card: CheckpointCard, arch: dict[str, object]
) -> None:
    path = _with_arch(tiny_checkpoint, card, arch, tmp_path)
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(path)
    assert "card" in raised.value.found


def _with_arch(checkpoint: Path, card: CheckpointCard, arch: dict[str, object], folder: Path) -> Path:
    with safe_open(checkpoint, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    changed = card.model_copy(update={"arch": arch})
    save_file(state, folder / "changed.safetensors", metadata={"ssr_edge": changed.model_dump_json()})
    return folder / "changed.safetensors"
