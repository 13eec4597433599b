"""Folding is exact for every network of the family, with any groups, strides and BatchNorm statistics."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ssr_edge.common.errors import ExportError
from ssr_export.folding.fold import fold
from ssr_train.models.arch import ArchConfig, ssresnext14_8x4d
from ssr_train.models.complexity import multiply_adds, parameter_count
from ssr_train.models.folded import is_folded, take_folded_form
from ssr_train.models.network import ParallelKernels, SharedKernels, SingleKernel, SSResNeXt

MakeNetwork = Callable[..., SSResNeXt]


def randomize_batchnorms(module: nn.Module, generator: torch.Generator, spread: float) -> None:
    for bn in module.modules():
        if isinstance(bn, nn.BatchNorm2d):
            bn.weight.data.uniform_(-spread, spread, generator=generator)
            bn.bias.data.normal_(0, spread, generator=generator)
            assert bn.running_mean is not None
            assert bn.running_var is not None
            bn.running_mean.normal_(0, spread, generator=generator)
            bn.running_var.uniform_(1e-4, spread, generator=generator)


@st.composite
def architectures(draw: st.DrawFn) -> ArchConfig:
    groups = draw(st.sampled_from([1, 2, 4, 8]))
    return ArchConfig(
        name="random",
        blocks=tuple(draw(st.integers(1, 4)) for _ in range(4)),  # type: ignore[arg-type]
        stem_width=draw(st.sampled_from([4, 8])),
        group_width=groups * draw(st.sampled_from([1, 2, 4])) * 2,
        out_width=draw(st.sampled_from([8, 16])),
        groups=groups,
        kernels=draw(st.sampled_from(["single", "parallel", "shared"])),
        se_reduction=draw(st.sampled_from([0, 2])),
        first_to_last=draw(st.booleans()),
    )


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(arch=architectures(), seed=st.integers(0, 2**31), spread=st.floats(0.1, 4.0), size=st.integers(33, 65))
def test_any_network_folds_exactly(arch: ArchConfig, seed: int, spread: float, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = SSResNeXt(arch, classes=3).double().eval()
    randomize_batchnorms(network, generator, spread)
    images = torch.randn(2, 3, size, size, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        expected, found = network(images), fold(network)(images)
    assert (found - expected).abs().max() <= 1e-12 * expected.abs().max()


@settings(max_examples=60, deadline=None)
@given(
    kernels=st.sampled_from([ParallelKernels, SharedKernels, SingleKernel]),
    groups=st.sampled_from([1, 2, 4, 16]),
    stride=st.integers(1, 3),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 2**31),
)
def test_three_kernels_become_one_at_every_stride_and_size(
    kernels: type[nn.Module], groups: int, stride: int, height: int, width: int, seed: int
) -> None:
    from ssr_export.folding.fold import _fold_spatial

    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    module = kernels(16, stride, groups).double().eval()
    randomize_batchnorms(module, generator, 2.0)
    x = torch.randn(1, 16, height, width, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        folded = _fold_spatial(module, "test")
        expected, found = module(x), folded(x)
    assert folded.kernel_size == (3, 3)
    assert folded.groups == groups
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-12 * max(1.0, float(expected.abs().max()))


def test_a_folded_network_has_no_batchnorm_and_one_kernel_a_block(make_network: MakeNetwork) -> None:
    folded = fold(make_network("ssresnext14_8x4d"))
    kinds = [type(module) for module in folded.modules()]
    assert nn.BatchNorm2d not in kinds
    assert ParallelKernels not in kinds
    convolutions = [m for m in folded.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(convolutions) == 4


@pytest.mark.slow
@settings(max_examples=20)
@given(arch=architectures())
def test_the_folded_form_is_known_without_folding(arch: ArchConfig) -> None:
    network = SSResNeXt(arch).eval()
    folded = fold(network)
    assert is_folded(folded) and not is_folded(network)
    take_folded_form(network)
    assert str(network) == str(folded)
    network.double().load_state_dict(folded.state_dict())


def test_folding_a_folded_network_copies_it(make_network: MakeNetwork) -> None:
    folded = fold(make_network("ssresnext14_8x4d"))
    again = fold(folded)
    assert again is not folded
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in folded.state_dict().items())


def test_the_original_is_left_as_it_was(make_network: MakeNetwork) -> None:
    network = make_network("ssresnext14_8x4d")
    before = copy.deepcopy(network.state_dict())
    fold(network)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.slow
def test_table_4_parameters_and_folded_multiply_adds(make_network: MakeNetwork) -> None:
    network = make_network("ssresnext50_32x4d")
    assert parameter_count(network) == pytest.approx(2.51e7, rel=0.01)
    assert multiply_adds(fold(network)) == pytest.approx(4.21e9, rel=0.01)


def test_the_shared_variant_counts_the_same_multiply_adds_as_the_parallel_one() -> None:
    parallel = SSResNeXt(ssresnext14_8x4d())
    shared = SSResNeXt(replace(parallel.arch, kernels="shared"))
    assert multiply_adds(shared) == multiply_adds(parallel)


def test_a_network_in_training_mode_is_refused(make_network: MakeNetwork) -> None:
    with pytest.raises(ExportError) as refusal:
        fold(make_network("ssresnext14_8x4d").train())
    assert refusal.value.expected == "network.eval()"


def test_a_batchnorm_that_is_not_finite_is_named(make_network: MakeNetwork) -> None:
    network = make_network("ssresnext14_8x4d")
    variance = network.get_buffer("stages.2.blocks.0.bn1.running_var")
    variance[3] = float("nan")
    with pytest.raises(ExportError, match=r"stages\.2\.blocks\.0\.conv1"):
        fold(network)
