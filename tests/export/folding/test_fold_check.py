"""The fold check measures a fold on real images and refuses one that is not exact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ssr_edge.common.errors import ExportError
from ssr_edge.images.preprocess import load
from ssr_export.folding import fold_check
from ssr_export.folding.fold import fold
from ssr_train.data.dataset import normalize, to_rgb
from ssr_train.models.network import Network, SSResNeXt

pytestmark = pytest.mark.slow

MakeNetwork = Callable[..., SSResNeXt]


@pytest.fixture(scope="module")
def images(demo_images: list[Path]) -> torch.Tensor:
    return normalize(to_rgb(np.stack([load(path) for path in demo_images[::8]])))


@pytest.mark.parametrize("arch", ["ssresnext50_32x4d", "ssresnext50_32x4d/shared", "resnet50"])
def test_folding_is_within_the_limits_on_real_images(
    make_network: MakeNetwork, arch: str, images: torch.Tensor
) -> None:
    _, check = fold_check.fold_with_check(make_network(arch), images)
    assert check.images == len(images)
    assert check.fp32 <= 1e-5
    assert check.fp64 <= 1e-12
    assert [block.block for block in check.blocks][:2] == ["stages.0.blocks.0", "stages.0.blocks.1"]
    assert len(check.blocks) == 16
    assert max(block.fp64 for block in check.blocks) <= 1e-12


def test_a_wrong_fold_is_refused_and_the_block_named(
    make_network: MakeNetwork, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(network: Network) -> Network:
        folded = fold(network)
        folded.get_parameter("stages.1.blocks.0.spatial.bias").data[5] += 0.01
        return folded

    monkeypatch.setattr(fold_check, "fold", wrong)
    with pytest.raises(ExportError, match=r"stages\.1\.blocks\.0"):
        fold_check.fold_with_check(make_network("ssresnext14_8x4d"), images)


def test_nan_is_refused(make_network: MakeNetwork, images: torch.Tensor) -> None:
    network = make_network("ssresnext14_8x4d")
    network.classifier.weight.data[0, 0] = float("nan")
    with pytest.raises(ExportError, match="nan"):
        fold_check.fold_with_check(network, images)
