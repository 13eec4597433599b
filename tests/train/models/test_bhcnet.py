"""BHCNet: its module, its stages, and that it folds exactly."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ssr_export.folding.fold import fold
from ssr_train.models.arch import BhcNetConfig, arch_by_name
from ssr_train.models.bhcnet import BhcNet, SmallSeBlock
from ssr_train.models.build import build_network
from ssr_train.models.folded import is_folded, take_folded_form

SMALL = BhcNetConfig("small", (2, 1, 2), width=8, se_reduction=4)


def trained_looking(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            nn.init.normal_(module.running_mean, 0, 0.2)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
        elif isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.bias, 0, 0.2)
    return network.eval()


def test_a_module_is_1x3_3x1_1x3_3x1_with_attention_of_reduction_16() -> None:
    block = SmallSeBlock(16, 32, 2, 16, preactivate=True)
    convolutions = [block.conv1, block.conv2, block.conv3, block.conv4]
    assert [conv.kernel_size for conv in convolutions] == [(1, 3), (3, 1), (1, 3), (3, 1)]
    assert block(torch.zeros(2, 16, 20, 20)).shape == (2, 32, 10, 10)
    assert (block.attention.reduce.out_channels, block.attention.reduce.bias) == (2, None)
    # By hand: four convolutions with a bias at the last, three BatchNorms and the first one's, attention, shortcut.
    by_hand = 3 * (16 * 32 + 3 * 32 * 32) + 32 + 3 * 64 + 32 + 2 * 32 * 2 + (16 * 32 + 32)
    assert sum(p.numel() for p in block.parameters()) == by_hand


def test_six_modules_a_stage_end_in_64_channels_at_a_quarter_of_the_size() -> None:
    with torch.device("meta"):
        network = build_network(arch_by_name("bhcnet"))
        features = network.feature_map(torch.zeros(1, 3, 224, 224))
    assert isinstance(network, BhcNet)
    assert features.shape == (1, 64, 56, 56)
    blocks = [module for module in network.modules() if isinstance(module, SmallSeBlock)]
    assert len(blocks) == 18
    assert [isinstance(block.preactivation, nn.Identity) for block in blocks] == [True] + [False] * 17
    # The shape changes at the second and third stage only.
    assert [n for n, block in enumerate(blocks) if isinstance(block.shortcut, nn.Conv2d)] == [6, 12]


def test_it_folds_exactly_and_its_folded_form_is_known() -> None:
    torch.manual_seed(0)
    network = trained_looking(build_network(SMALL)).double()
    assert isinstance(network, BhcNet)
    images = torch.randn(2, 3, 40, 40, dtype=torch.float64)
    folded = fold(network)
    assert is_folded(folded) and not is_folded(network)
    with torch.no_grad():
        expected = network(images)
        assert float((folded(images) - expected).abs().max() / expected.abs().max()) < 1e-13
    shaped = copy.deepcopy(network)
    take_folded_form(shaped)
    shaped.load_state_dict(folded.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(shaped(images), folded(images))


def test_gradients_reach_every_weight() -> None:
    network = build_network(SMALL).train()
    network(torch.randn(4, 3, 32, 32)).square().sum().backward()
    # But for attention: its one or two hidden units have no bias, and may be zero for all of a few images.
    dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [name for name in dead if ".attention." not in name] == []
