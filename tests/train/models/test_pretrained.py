"""Public weights in our networks: the same features as torchvision's, everything can learn, unfit files are refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ssr_edge.common.errors import CheckpointError
from ssr_edge.common.files import sha256_of
from ssr_train.models.arch import ArchConfig, arch_by_name, ssresnext50_32x4d
from ssr_train.models.build import build_network
from ssr_train.models.network import Network
from ssr_train.models.pretrained import load_pretrained
from ssr_train.training.checkpoint import load_checkpoint
from ssr_train.training.recipe import RECIPES

# A stage of four blocks and one of three; small images, so that the whole file takes seconds.
SIZE = 64


@pytest.fixture(scope="module")
def public() -> dict[str, nn.Module]:
    """torchvision's networks with random weights and BatchNorm statistics as after training."""
    torch.manual_seed(0)
    networks: dict[str, nn.Module] = {
        "resnext50": torchvision.models.resnext50_32x4d(weights=None),
        "resnet50": torchvision.models.resnet50(weights=None),
        "swin_t": torchvision.models.swin_t(weights=None),
    }
    for network in networks.values():
        network.eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.4, 0.8)
                nn.init.normal_(module.bias, 0, 0.1)
                nn.init.normal_(module.running_mean, 0, 0.1)  # type: ignore[arg-type]
                nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
    return networks


@pytest.fixture(scope="module")
def files(public: dict[str, nn.Module], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    torch.save(public["resnext50"].state_dict(), folder / "resnext50.pth")
    save_file(public["resnet50"].state_dict(), folder / "resnet50.safetensors")
    save_file({k: v.contiguous() for k, v in public["swin_t"].state_dict().items()}, folder / "swin_t.safetensors")
    return {path.stem: path for path in folder.iterdir()}


def features(network: Any, images: Tensor, mean_before_last: bool = False) -> Tensor:
    """The last feature map of torchvision's ResNet. mean_before_last: with the change that `first_to_last` makes."""
    x: Tensor = network.maxpool(network.relu(network.bn1(network.conv1(images))))
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        first = x = stage[0](x)
        for block in stage[1:-1]:
            x = block(x)
        x = stage[-1]((x + first) / 2 if mean_before_last else x)
    return x


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(
    ("arch", "weights"),
    [
        (replace(ssresnext50_32x4d(), first_to_last=False), "resnext50"),
        (replace(ssresnext50_32x4d(), kernels="shared", first_to_last=False), "resnext50"),
        (arch_by_name("se_resnext50_32x4d"), "resnext50"),
        (arch_by_name("resnext50_32x4d"), "resnext50"),
        (arch_by_name("resnet50"), "resnet50"),
    ],
    ids=["parallel", "shared", "se", "resnext", "resnet"],
)
def test_the_first_features_are_the_public_networks(
    public: dict[str, nn.Module], files: dict[str, Path], arch: ArchConfig, weights: str
) -> None:
    images = torch.randn(2, 3, SIZE, SIZE)
    network = build_network(arch).eval()
    load_pretrained(files[weights], network)
    assert relative(network.feature_map(images), features(public[weights], images)) <= 1e-5


@torch.no_grad()
def test_with_first_to_last_it_is_the_public_network_whose_last_blocks_see_a_mean(
    public: dict[str, nn.Module], files: dict[str, Path]
) -> None:
    images = torch.randn(2, 3, SIZE, SIZE)
    network = build_network(arch_by_name("ssresnext50_32x4d")).eval()
    load_pretrained(files["resnext50"], network)
    expected = features(public["resnext50"], images, mean_before_last=True)
    # Twice as large, for a classifier that is halved.
    assert relative(network.feature_map(images), 2 * expected) <= 1e-5
    assert relative(expected, features(public["resnext50"], images)) > 1e-3


@torch.no_grad()
def test_swin_is_torchvisions_but_for_the_head(public: dict[str, nn.Module], files: dict[str, Path]) -> None:
    images = torch.randn(1, 3, SIZE, SIZE)
    network = build_network(arch_by_name("swin_t")).eval()
    load_pretrained(files["swin_t"], network)
    theirs: Any = public["swin_t"]
    expected = theirs.norm(theirs.features(images)).permute(0, 3, 1, 2)
    assert relative(network.feature_map(images), expected) <= 1e-5


def test_what_starts_without_effect_can_learn(files: dict[str, Path]) -> None:
    torch.manual_seed(1)
    network = build_network(arch_by_name("ssresnext50_32x4d")).train()
    load_pretrained(files["resnext50"], network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    block = network.get_submodule("stages.1.blocks.1")
    before = {name: tensor.clone() for name, tensor in block.named_parameters()}
    images, targets = torch.randn(4, 3, SIZE, SIZE), torch.tensor([0, 1, 2, 3])
    for _ in range(2):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), targets)
        assert torch.isfinite(loss)
        loss.backward()
        optimizer.step()
    # After two steps everything has moved: the scales in the first, what stands behind them in the second.
    assert [name for name, tensor in block.named_parameters() if torch.equal(tensor, before[name])] == []


class Malicious:
    """Runs code when unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (print, ("ran",))


def without(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if name != "layer2.0.conv2.weight"}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (without, "stages.1.blocks.0.spatial.0.weight"),
        (lambda state: state | {"layer1.0.se.fc1.weight": torch.zeros(1)}, "1 tensors are unknown"),
        (lambda state: state | {"conv1.weight": torch.zeros(64, 3, 3, 3)}, "[64, 3, 3, 3]"),
        (lambda state: {"epoch": 3}, "no state dict"),
    ],
    ids=["missing", "extra", "shape", "no state"],
)
def test_a_file_that_does_not_fit_is_refused(
    public: dict[str, nn.Module], tmp_path: Path, change: Callable[..., object], found: str
) -> None:
    torch.save(change(public["resnext50"].state_dict()), tmp_path / "w.pth")
    with torch.device("meta"):
        network: Network = build_network(arch_by_name("resnext50_32x4d"))
    with pytest.raises(CheckpointError) as raised:
        load_pretrained(tmp_path / "w.pth", network)
    assert found in raised.value.found


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "missing.pth"])
def test_a_damaged_or_hostile_file_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"a": Malicious()}))
    (tmp_path / "w.safetensors").write_bytes(b"\xff" * 64)
    with torch.device("meta"):
        network = build_network(arch_by_name("resnet50"))
    with pytest.raises(CheckpointError) as raised:
        load_pretrained(tmp_path / name, network)
    assert name in raised.value.found
    assert "ran" not in capfd.readouterr().out


def test_bhcnet_has_no_public_weights(files: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError) as raised:
        load_pretrained(files["resnet50"], build_network(arch_by_name("bhcnet")))
    assert "bhcnet" in raised.value.found


@pytest.mark.slow
def test_a_run_starts_from_the_file_and_its_card_has_the_hash(
    ssr_edge: Callable[..., Any],
    breakhis_tree: Path,
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = (
        (RECIPES / "paper.toml").read_text().replace("learning_rate = 0.01", "image_sizes = [64]\nlearning_rate = 1e-9")
    )
    (tmp_path / "still.toml").write_text(recipe)
    arguments = ("train", "--data", breakhis_tree, "--arch", "resnet50", "--recipe", "still.toml", "--epochs", 1)
    answer = ssr_edge(*arguments, "--init-from", files["resnet50"], "--run", "run")
    assert answer.code == 0, answer.err
    digest = sha256_of(files["resnet50"])
    assert f"{files['resnet50']} ({digest[:12]})" in answer.out
    network, card = load_checkpoint(Path("run/checkpoint.safetensors"))
    assert card.initialized_from == digest
    public = load_file(files["resnet50"])["layer3.2.conv2.weight"]
    torch.testing.assert_close(network.state_dict()["stages.2.blocks.2.spatial.0.weight"], public, rtol=0, atol=1e-6)
    answer = ssr_edge(*arguments, "--init-from", files["resnext50"], "--run", "other")
    assert answer.code == 1 and str(files["resnext50"]) in answer.err
    assert not Path("other").exists()


def test_a_file_that_changed_since_is_not_taken(files: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError) as raised:
        load_pretrained(files["resnet50"], build_network(arch_by_name("resnet50")), "0" * 64)
    assert "0" * 64 in raised.value.found
