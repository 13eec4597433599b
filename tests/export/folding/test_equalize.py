"""Equalization is exact in floating point for every network of the family and recovers accuracy lost in INT8."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ssr_edge.common.errors import ExportError
from ssr_edge.images.preprocess import load
from ssr_export.folding.equalize import Link, equalize, factors, links, rescale
from ssr_export.folding.fold import fold
from ssr_export.int8.calibrate import calibrate
from ssr_export.int8.quantize import quantize
from ssr_export.onnx.to_onnx import export_onnx
from ssr_train.data.dataset import normalize, to_rgb
from ssr_train.models.arch import ArchConfig
from ssr_train.models.network import Block, Network, ParallelKernels, SqueezeExcite, SSResNeXt

pytestmark = pytest.mark.slow

MakeNetwork = Callable[..., SSResNeXt]
TINY = "ssresnext14_8x4d"


@st.composite
def architectures(draw: st.DrawFn) -> ArchConfig:
    groups = draw(st.sampled_from([1, 2, 4]))
    return ArchConfig(
        name="random",
        blocks=tuple(draw(st.integers(1, 4)) for _ in range(4)),  # type: ignore[arg-type]
        stem_width=8,
        group_width=groups * 4,
        # 8 gives the first stage an identity shortcut, so the stem writes to its residual stream.
        out_width=draw(st.sampled_from([8, 16])),
        groups=groups,
        kernels=draw(st.sampled_from(["single", "parallel", "shared"])),
        se_reduction=draw(st.sampled_from([0, 2])),
        first_to_last=draw(st.booleans()),
    )


@settings(max_examples=30, deadline=None)
@given(arch=architectures(), seed=st.integers(0, 2**31))
def test_any_positive_factors_leave_the_logits_as_they_were(arch: ArchConfig, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = SSResNeXt(arch, classes=3).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(-2, 2, generator=generator)
            module.bias.data.normal_(0, 1, generator=generator)
    folded = fold(network)
    scaled = copy.deepcopy(folded)
    with torch.no_grad():
        for link in links(scaled):
            channels = link.writers[0].out_channels
            rescale(link, 10 ** torch.empty(channels, dtype=torch.float64).uniform_(-2, 2, generator=generator))
    images = torch.randn(2, 3, 40, 40, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        expected, found = folded(images), scaled(images)
    assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()


@pytest.mark.parametrize("arch", [TINY, "ssresnext50_32x4d"])
def test_fp32_logits_stay_within_1e_4(make_network: MakeNetwork, calibration_images: list[Path], arch: str) -> None:
    folded = fold(make_network(arch)).float()
    images = pixels(calibration_images[:4])
    equalized = equalize(folded, [images])
    with torch.inference_mode():
        expected, found = folded(images), equalized(images)
    assert not torch.equal(folded.stem.weight, equalized.stem.weight)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_every_convolution_is_written_and_read_exactly_once(make_network: MakeNetwork) -> None:
    folded = fold(make_network("ssresnext50_32x4d"))
    found = links(folded)
    written = [id(conv) for link in found for conv in link.writers]
    read = [id(conv) for link in found for conv in (*link.readers, *link.float_readers)]
    inside = {id(m) for name, m in folded.named_modules() if isinstance(m, nn.Conv2d) and ".expand" not in name}
    attention = {id(m) for name, m in folded.named_modules() if name.endswith(".reduce")}
    assert sorted(written) == sorted(inside - attention)
    assert sorted(read) == sorted((inside - {id(folded.stem)}) | {id(folded.classifier)})
    # 16 blocks with two links each, and one for each residual stream: the stem's and the four stages'.
    assert len(found) == 2 * 16 + 5


def test_factors_balance_activations_against_weights() -> None:
    activations, weights = torch.tensor([1.0, 4.0, 16.0]), torch.tensor([1.0, 1.0, 1.0])
    found = factors(activations, weights)
    # Square roots 1, 2, 4; then the largest activation, 16, keeps its size.
    assert torch.allclose(found / found[0], torch.tensor([1.0, 2.0, 4.0]))
    assert float((activations / found).max()) == pytest.approx(16.0)


def test_dead_channels_do_not_set_the_steps_of_others() -> None:
    silent, unread = 0, 3
    found = factors(torch.tensor([0.0, 1.0, 4.0, 3.0]), torch.tensor([1.0, 1.0, 1.0, 0.0]))
    assert found[silent] == found.max() / 64
    assert found[unread] == found[2] == found.max()
    assert torch.equal(factors(torch.zeros(2), torch.ones(2)), torch.ones(2))


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1)), min_size=1, max_size=20))
def test_factors_are_positive_bounded_and_keep_the_largest_activation(ranges: list[tuple[float, float]]) -> None:
    activations, weights = torch.tensor(ranges, dtype=torch.float64).T
    found = factors(activations, weights)
    assert torch.isfinite(found).all()
    assert (found > 0).all()
    assert found.max() <= 64.001 * found.min()
    read = weights > 1e-6
    if read.any():
        assert float((activations / found)[read].max()) == pytest.approx(float(activations[read].max()))


def test_a_change_of_the_logits_is_refused(
    make_network: MakeNetwork, calibration_images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget_the_readers(link: Link, factor: torch.Tensor) -> None:
        rescale(Link(link.writers), factor)

    monkeypatch.setattr("ssr_export.folding.equalize.rescale", forget_the_readers)
    with pytest.raises(ExportError) as refusal:
        equalize(fold(make_network(TINY)).float(), [pixels(calibration_images[:1])])
    assert "1e-04" in refusal.value.expected and "--equalize" in refusal.value.next_step


def test_int8_survives_branches_whose_channels_differ_a_hundredfold(
    make_network: MakeNetwork,
    calibration_images: list[Path],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    network = make_network(TINY)
    plant_wide_branches(network)
    folded = fold(network).float()
    before = int8_error(folded, calibration_images, tmp_path / "before.onnx")
    batches = [pixels([path]) for path in calibration_images]
    after = int8_error(equalize(folded, batches), calibration_images, tmp_path / "after.onnx")
    record_property("errors", (float(before), float(after)))
    assert before > 0.05, "the planted ranges do no harm, so this test would prove nothing"
    assert after < before / 6


def plant_wide_branches(network: SSResNeXt) -> None:
    """Scales branch BatchNorms by 1 to 100 per channel and the weights that read them inversely, as training would."""
    generator = torch.Generator().manual_seed(0)
    for block in network.modules():
        if isinstance(block, Block):
            assert isinstance(block.spatial, ParallelKernels) and isinstance(block.attention, SqueezeExcite)
            channels = block.conv3.in_channels
            factor = torch.logspace(0, 2, channels)[torch.randperm(channels, generator=generator)]
            with torch.no_grad():
                for bn in (block.spatial.square_bn, block.spatial.row_bn, block.spatial.column_bn):
                    bn.weight.mul_(factor)
                    bn.bias.mul_(factor)
                for reader in (block.attention.reduce, block.conv3):
                    reader.weight.div_(factor.view(1, -1, 1, 1))


def int8_error(folded: Network, paths: list[Path], file: Path) -> float:
    """Mean difference of INT8 and FP32 logits over 8 of the calibration images, relative to the mean FP32 logit.

    This tests the step size, not whether the ranges of 21 images generalize to others.
    """
    export_onnx(folded, file)
    images = np.stack([load(path) for path in paths[:8]])
    exact = run(onnx.load(file), images)
    found = run(quantize(onnx.load(file), calibrate(file, paths, "minmax").ranges), images)
    return float(np.abs(found - exact).mean() / np.abs(exact).mean())


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"images": images})[0])


def pixels(paths: list[Path]) -> torch.Tensor:
    return normalize(to_rgb(np.stack([load(path) for path in paths])))
