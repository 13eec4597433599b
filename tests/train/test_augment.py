from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from ssr_edge.preprocess import load
from ssr_train.augment import STORED_SIZE, Augment
from ssr_train.dataset import to_rgb
from ssr_train.recipe import AugmentRecipe

NOTHING = AugmentRecipe(crop_scale=1.0, right_angle_rotations=False, horizontal_flip=False)
EVERYTHING = AugmentRecipe(crop_scale=0.4, right_angle_rotations=True, horizontal_flip=True, colour_jitter=0.25)


@pytest.fixture(scope="module")
def photos(demo_images: list[Path]) -> Tensor:
    """uint8 RGB [4, 3, STORED_SIZE, STORED_SIZE]."""
    return to_rgb(np.stack([load(path, STORED_SIZE) for path in demo_images[:4]]))


def draw(recipe: AugmentRecipe, images: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    augment = Augment(recipe)
    return augment(images, augment.draw(len(images)))


def whole(image: Tensor) -> Tensor:
    """What is left of an image when nothing is drawn."""
    return transforms.resize(image, [224, 224], antialias=True)


def difference(a: Tensor, b: Tensor) -> int:
    return int((a.int() - b.int()).abs().max())


def views_found(drawn: Tensor, views: list[Tensor]) -> set[int]:
    """Which of the views the drawn images are, each within one grey level of exactly one of them."""
    found = set()
    for image in drawn:
        (view,) = [number for number, view in enumerate(views) if difference(image, view) <= 1]
        found.add(view)
    return found


def test_views_are_uint8_of_the_networks_size(photos: Tensor) -> None:
    views = draw(EVERYTHING, photos)
    assert views.shape == (4, 3, 224, 224)
    assert views.dtype == torch.uint8


def test_the_seed_fixes_the_views(photos: Tensor) -> None:
    assert torch.equal(draw(EVERYTHING, photos, seed=3), draw(EVERYTHING, photos, seed=3))
    assert difference(draw(EVERYTHING, photos, seed=3), draw(EVERYTHING, photos, seed=4)) > 20


def test_each_image_is_drawn_on_its_own(photos: Tensor) -> None:
    views = draw(EVERYTHING, photos[:1].repeat(4, 1, 1, 1))
    assert all(difference(views[0], view) > 20 for view in views[1:])


def test_with_everything_off_the_whole_image_is_left(photos: Tensor) -> None:
    assert all(torch.equal(view, whole(image)) for view, image in zip(draw(NOTHING, photos), photos, strict=True))


def test_right_angles_only_move_pixels_and_all_four_come(photos: Tensor) -> None:
    recipe = NOTHING.model_copy(update={"right_angle_rotations": True})
    drawn = draw(recipe, photos[:1].repeat(40, 1, 1, 1))
    views = [torch.rot90(whole(photos[0]), quarter, (1, 2)) for quarter in range(4)]
    assert views_found(drawn, views) == {0, 1, 2, 3}


def test_the_flip_is_horizontal_and_drawn_half_of_the_time(photos: Tensor) -> None:
    recipe = NOTHING.model_copy(update={"horizontal_flip": True})
    drawn = draw(recipe, photos[:1].repeat(20, 1, 1, 1))
    assert views_found(drawn, [whole(photos[0]), whole(photos[0]).flip(2)]) == {0, 1}


@pytest.mark.parametrize("scale", [0.4, 0.8])
def test_a_crop_keeps_at_least_its_share_of_the_area(scale: float) -> None:
    # Red says the column and green the row, so a view says which part of the image it shows.
    ramp = torch.arange(STORED_SIZE, dtype=torch.uint8)
    image = torch.stack([ramp.expand(256, 256), ramp.view(-1, 1).expand(256, 256), torch.zeros(256, 256).byte()])
    drawn = draw(NOTHING.model_copy(update={"crop_scale": scale}), image.repeat(40, 1, 1, 1)).float()
    extent = drawn.amax((2, 3)) - drawn.amin((2, 3)) + 1  # [40, 3]: columns, rows, nothing
    shares = extent[:, 0] * extent[:, 1] / STORED_SIZE**2
    assert scale - 0.02 <= float(shares.min()) < scale + 0.15
    assert float(shares.max()) > 0.9


def test_colours_stay_unless_the_recipe_says_jitter() -> None:
    plain = torch.tensor([180, 120, 200], dtype=torch.uint8).view(1, 3, 1, 1).repeat(4, 1, STORED_SIZE, STORED_SIZE)
    without = EVERYTHING.model_copy(update={"colour_jitter": 0.0})
    assert torch.equal(draw(without, plain), plain[..., :224, :224])
    assert difference(draw(EVERYTHING, plain), plain[..., :224, :224]) > 10
