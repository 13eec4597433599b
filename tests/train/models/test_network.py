"""The network against the paper's equations, written out by hand, and against torchvision's ResNets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from ssr_edge.images.preprocess import load
from ssr_train.data.dataset import normalize, to_rgb
from ssr_train.models.arch import ssresnext14_8x4d, ssresnext50_32x4d
from ssr_train.models.network import Block, ParallelKernels, SharedKernels, SqueezeExcite, SSResNeXt, Stage

MakeNetwork = Callable[..., SSResNeXt]


@pytest.fixture(scope="module")
def photo(demo_images: list[Path]) -> Tensor:
    """Two real images as the network's input, small and FP64: [2, 3, 64, 64]."""
    return normalize(to_rgb(np.stack([load(path, 64) for path in demo_images[:2]]))).double()


def features(channels: int, size: int = 8) -> Tensor:
    return torch.randn(2, channels, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def with_random_statistics(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(2)
    for name, tensor in module.state_dict().items():
        if "bn" in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5, generator=generator)
    return module.double().eval()


def batch_norm(x: Tensor, bn: nn.BatchNorm2d) -> Tensor:
    assert bn.running_mean is not None and bn.running_var is not None
    wide = (1, -1, 1, 1)
    scaled = (x - bn.running_mean.view(wide)) / torch.sqrt(bn.running_var.view(wide) + bn.eps)
    return scaled * bn.weight.view(wide) + bn.bias.view(wide)


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 2])
def test_parallel_kernels_are_the_sum_of_three_padded_3x3_convolutions(stride: int) -> None:
    spatial = with_random_statistics(ParallelKernels(8, stride, groups=4))
    assert isinstance(spatial, ParallelKernels)
    x = features(8)
    kernels = [
        (spatial.square.weight, spatial.square_bn),
        (F.pad(spatial.row.weight, (0, 0, 1, 1)), spatial.row_bn),
        (F.pad(spatial.column.weight, (1, 1, 0, 0)), spatial.column_bn),
    ]
    expected = sum(batch_norm(F.conv2d(x, weight, None, stride, 1, groups=4), bn) for weight, bn in kernels)
    torch.testing.assert_close(spatial(x), expected)


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 2])
def test_the_shared_variant_is_the_parallel_one_with_the_middle_row_and_column(stride: int) -> None:
    shared = with_random_statistics(SharedKernels(8, stride, groups=4))
    parallel = ParallelKernels(8, stride, groups=4).double().eval()
    weights = shared.state_dict()
    weights["row.weight"] = weights["square.weight"][:, :, 1:2, :]
    weights["column.weight"] = weights["square.weight"][:, :, :, 1:2]
    parallel.load_state_dict(weights)
    torch.testing.assert_close(shared(features(8)), parallel(features(8)))


@torch.no_grad()
def test_attention_is_equation_3() -> None:
    attention = SqueezeExcite(16, reduction=8).double()
    x = features(16)
    z = x.mean((2, 3)).numpy()
    w1, b1 = attention.reduce.weight[:, :, 0, 0].numpy(), attention.reduce.bias.numpy()  # type: ignore[union-attr]
    w2, b2 = attention.expand.weight[:, :, 0, 0].numpy(), attention.expand.bias.numpy()  # type: ignore[union-attr]
    s = 1 / (1 + np.exp(-(np.maximum(z @ w1.T + b1, 0) @ w2.T + b2)))
    np.testing.assert_allclose(attention(x).numpy(), x.numpy() * s[:, :, None, None], rtol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize(("in_channels", "stride"), [(16, 1), (16, 2), (8, 1)])
def test_an_untrained_block_is_its_shortcut(in_channels: int, stride: int) -> None:
    arch = replace(ssresnext14_8x4d(), groups=4)
    network = SSResNeXt(arch)
    block = Block(in_channels, 8, 16, stride, arch)
    network.stages.append(block)
    network._initialize()
    block.double().eval()
    x = features(in_channels)
    torch.testing.assert_close(block(x), F.relu(block.shortcut(x)))
    assert all(torch.count_nonzero(b.bn3.weight) == 0 for b in network.modules() if isinstance(b, Block))


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("first_to_last", [True, False])
def test_the_first_blocks_output_is_added_to_the_last_blocks_input(count: int, first_to_last: bool) -> None:
    arch = replace(ssresnext14_8x4d(), groups=4)
    blocks = [Block(8 if n == 0 else 16, 8, 16, 1, arch).double().eval() for n in range(count)]
    first = x = blocks[0](features(8))
    for block in blocks[1:-1]:
        x = block(x)
    if count > 1:
        # A stage of two blocks has nothing between the first and the last that the addition could skip.
        x = blocks[-1](x + first if first_to_last and count > 2 else x)
    torch.testing.assert_close(Stage(blocks, first_to_last)(features(8)), x, rtol=0, atol=0)


def test_stages_halve_the_map_and_double_the_channels() -> None:
    with torch.device("meta"):
        network = SSResNeXt(ssresnext50_32x4d())
        shapes: list[tuple[int, ...]] = []
        for module in (network.stem, *network.stages, network.classifier):
            module.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape)))
        network.eval()(torch.zeros(2, 3, 224, 224))
    assert shapes == [
        (2, 64, 112, 112),
        (2, 256, 56, 56),
        (2, 512, 28, 28),
        (2, 1024, 14, 14),
        (2, 2048, 7, 7),
        (2, 8),
    ]


def test_every_stage_but_the_first_downsamples_in_its_first_spatial_kernels_alone() -> None:
    with torch.device("meta"):
        network = SSResNeXt(ssresnext50_32x4d())
    strides = {name: m.stride[0] for name, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    halving = {name for name, stride in strides.items() if stride == 2}
    kernels = ("spatial.square", "spatial.row", "spatial.column", "shortcut.0")
    assert halving == {"stem"} | {f"stages.{stage}.blocks.0.{kernel}" for stage in (1, 2, 3) for kernel in kernels}


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "public"),
    [("resnet50", torchvision.models.resnet50), ("resnext50_32x4d", torchvision.models.resnext50_32x4d)],
)
def test_the_baselines_compute_what_torchvisions_compute(
    make_network: MakeNetwork, photo: Tensor, name: str, public: type[nn.Module]
) -> None:
    ours, theirs = make_network(name), public(num_classes=8)
    # Both list their layers in the order of the forward pass.
    weights = dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True))
    theirs.load_state_dict(weights)
    torch.testing.assert_close(ours.double()(photo), theirs.double().eval()(photo))


@torch.no_grad()
def test_an_image_is_classified_the_same_alone_and_in_a_batch(make_network: MakeNetwork, photo: Tensor) -> None:
    network = make_network("ssresnext14_8x4d").double()
    together = network(photo)
    torch.testing.assert_close(together, torch.cat([network(photo[:1]), network(photo[1:])]))
    assert (together[0] - together[1]).abs().max() > 1e-3
