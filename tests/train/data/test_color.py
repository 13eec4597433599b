from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import functional as torchvision

from ssr_edge.images.preprocess import load
from ssr_train.data.color import (
    RGB_FROM_HED,
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    perturb_stain,
)
from ssr_train.data.dataset import to_rgb

Adjust = Callable[[Tensor, Tensor], Tensor]
PAIRS: dict[str, tuple[Adjust, Callable[..., Tensor]]] = {
    "brightness": (adjust_brightness, torchvision.adjust_brightness),
    "contrast": (adjust_contrast, torchvision.adjust_contrast),
    "saturation": (adjust_saturation, torchvision.adjust_saturation),
    "hue": (adjust_hue, torchvision.adjust_hue),
}


@pytest.fixture(scope="module")
def photos(demo_images: list[Path]) -> Tensor:
    """float32 RGB [4, 3, 64, 64], a corner of them made of grays, primaries, black and white."""
    images = to_rgb(np.stack([load(path, 64) for path in demo_images[:4]])).float() / 255
    hard = torch.tensor(
        [[0.0, 0, 0], [1, 1, 1], [0.2, 0.2, 0.2], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1]]
    )
    images[:, :, 0, :8] = hard.T
    return images.contiguous()


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("factors", [(0.75, 0.9, 1.0, 1.25), (0.5, 1.5, 1.1, 0.0)])
def test_each_image_is_adjusted_as_torchvision_does(photos: Tensor, name: str, factors: tuple[float, ...]) -> None:
    ours, theirs = PAIRS[name]
    if name == "hue":
        factors = tuple((factor - 1) / 5 for factor in factors)
    found = ours(photos, torch.tensor(factors))
    expected = torch.stack([theirs(image, factor) for image, factor in zip(photos, factors, strict=True)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 255), min_size=3, max_size=3), st.floats(-0.5, 0.5, width=32))
def test_turning_the_hue_keeps_value_and_chroma_and_can_be_turned_back(pixel: list[int], turn: float) -> None:
    image = torch.tensor(pixel).view(1, 3, 1, 1) / 255
    turned = adjust_hue(image, torch.tensor([turn]))
    assert float(turned.amax()) == pytest.approx(float(image.amax()), abs=1e-6)
    assert float(turned.amin()) == pytest.approx(float(image.amin()), abs=1e-6)
    torch.testing.assert_close(adjust_hue(turned, torch.tensor([-turn])), image, rtol=0, atol=2e-5)


def test_the_stains_are_scikit_images() -> None:
    # skimage.color.rgb_from_hed, version 0.25.
    assert RGB_FROM_HED == ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))


def stained(amounts: Tensor) -> Tensor:
    """float32 RGB [1, 3, 1, 1] of amounts of hematoxylin, eosin and DAB (Lambert and Beer)."""
    vectors = torch.tensor(RGB_FROM_HED)
    return torch.exp(-amounts @ (vectors / vectors.norm(dim=1, keepdim=True))).view(1, 3, 1, 1)


def test_nothing_drawn_changes_nothing_but_the_rounding(photos: Tensor) -> None:
    found = perturb_stain(photos, torch.ones(4, 3), torch.zeros(4, 3))
    assert float((found - photos).abs().max()) < 1.01 / 255  # black has an infinite density, and becomes 1 of 255
    assert torch.equal((found * 255).round()[photos > 0], (photos * 255).round()[photos > 0])


@settings(max_examples=30)
@given(st.tuples(*[st.floats(0.25, 1, width=32)] * 3), st.tuples(*[st.floats(0.5, 1.5, width=32)] * 3))
def test_amounts_of_stain_are_scaled_and_shifted(amounts: tuple[float, ...], scales: tuple[float, ...]) -> None:
    shifts = torch.tensor([[0.05, -0.05, 0.02]])
    found = perturb_stain(stained(torch.tensor(amounts)), torch.tensor([scales]), shifts)
    expected = stained(torch.tensor(amounts) * torch.tensor(scales) + shifts[0])
    torch.testing.assert_close(found, expected.clamp(max=1), rtol=1e-4, atol=1e-5)


def test_white_stays_white_and_images_are_perturbed_on_their_own(photos: Tensor) -> None:
    white = torch.ones(2, 3, 4, 4)
    scales, shifts = torch.tensor([[1.2, 0.8, 1.1], [1, 1, 1]]), torch.tensor([[0.2, -0.2, 0.1], [0, 0, 0]])
    assert torch.equal(perturb_stain(white, scales, shifts), white)
    both = perturb_stain(photos[:1].repeat(2, 1, 1, 1), scales, shifts)
    assert float((both[0] - photos[0]).abs().mean()) > 0.02
    assert float((both[1] - photos[0]).abs().max()) < 1.01 / 255
    assert float(both.amin()) >= 0 and float(both.amax()) <= 1
