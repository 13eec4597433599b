from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as transforms

from ssr_edge.images.preprocess import load
from ssr_train.data.augment import STORED_SIZE, Augment
from ssr_train.data.dataset import to_rgb
from ssr_train.training.recipe import AugmentRecipe

NOTHING = AugmentRecipe(crop_scale=1.0, right_angle_rotations=False, horizontal_flip=False)
EVERYTHING = AugmentRecipe(crop_scale=0.4, right_angle_rotations=True, horizontal_flip=True, color_jitter=0.25)


@pytest.fixture(scope="module")
def photos(demo_images: list[Path]) -> Tensor:
    """uint8 RGB [4, 3, STORED_SIZE, STORED_SIZE]."""
    return to_rgb(np.stack([load(path, STORED_SIZE) for path in demo_images[:4]]))


def draw(recipe: AugmentRecipe, images: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    augment = Augment(recipe)
    return augment(images, augment.draw(len(images)))


def whole(image: Tensor) -> Tensor:
    """The image without augmentation."""
    resized: Tensor = transforms.resize(image, [224, 224], antialias=True)
    return resized


def difference(a: Tensor, b: Tensor) -> int:
    return int((a.int() - b.int()).abs().max())


def views_found(drawn: Tensor, views: list[Tensor]) -> set[int]:
    """The numbers of the views that the drawn images are, each within one gray level of exactly one view."""
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
    # Red encodes the column and green the row, so a view shows which part of the image it is.
    ramp = torch.arange(STORED_SIZE, dtype=torch.uint8)
    image = torch.stack([ramp.expand(256, 256), ramp.view(-1, 1).expand(256, 256), torch.zeros(256, 256).byte()])
    drawn = draw(NOTHING.model_copy(update={"crop_scale": scale}), image.repeat(40, 1, 1, 1)).float()
    extent = drawn.amax((2, 3)) - drawn.amin((2, 3)) + 1  # [40, 3]: columns, rows, nothing
    shares = extent[:, 0] * extent[:, 1] / STORED_SIZE**2
    assert scale - 0.02 <= float(shares.min()) < scale + 0.15
    assert float(shares.max()) > 0.9


def test_colors_stay_unless_the_recipe_says_jitter() -> None:
    plain = torch.tensor([180, 120, 200], dtype=torch.uint8).view(1, 3, 1, 1).repeat(4, 1, STORED_SIZE, STORED_SIZE)
    without = EVERYTHING.model_copy(update={"color_jitter": 0.0})
    assert torch.equal(draw(without, plain), plain[..., :224, :224])
    assert difference(draw(EVERYTHING, plain), plain[..., :224, :224]) > 10


def test_a_slice_of_the_views_gives_a_slice_of_the_batch(photos: Tensor) -> None:
    torch.manual_seed(1)
    augment = Augment(EVERYTHING.model_copy(update={"stain": 0.1}))
    views = augment.draw(4)
    assert torch.equal(augment(photos, views)[1:3], augment(photos[1:3], views[1:3]))


@pytest.mark.parametrize("scale", [0.08, 0.4, 1.0])
def test_crops_are_drawn_as_torchvision_draws_them(scale: float) -> None:
    count, side = 4000, STORED_SIZE
    torch.manual_seed(0)
    found = Augment(NOTHING.model_copy(update={"crop_scale": scale})).draw(count).boxes.double()
    image = torch.empty(3, side, side)
    theirs = [v2.RandomResizedCrop(1, (scale, 1.0), (4 / 5, 5 / 4)).make_params([image]) for _ in range(count)]
    expected = torch.tensor([[float(box[k]) for k in ("top", "left", "height", "width")] for box in theirs]).double()
    assert (found[:, :2] + found[:, 2:]).max() <= side and found.min() >= 0
    for percent in (0.05, 0.25, 0.5, 0.75, 0.95):
        # The 1 % of the side is three standard errors of a quantile of 4000 draws.
        difference = found.quantile(percent, dim=0) - expected.quantile(percent, dim=0)
        assert float(difference.abs().max()) < 0.035 * side, percent


def test_colors_are_drawn_as_torchvision_draws_them() -> None:
    torch.manual_seed(0)
    views = [Augment(EVERYTHING.model_copy(update={"stain": 0.1})).draw(100) for _ in range(20)]
    jitter, stain = torch.cat([v.jitter for v in views]), torch.cat([v.stain for v in views])
    low, high = torch.tensor([0.75, 0.75, 0.75, -0.05]), torch.tensor([1.25, 1.25, 1.25, 0.05])
    assert bool(((low <= jitter) & (jitter <= high)).all())
    torch.testing.assert_close(jitter.mean(0), (low + high) / 2, rtol=0, atol=0.01)
    torch.testing.assert_close(jitter.std(0), (high - low) / 12**0.5, rtol=0.05, atol=0)
    assert len({tuple(v.jitter_order) for v in views}) > 10
    assert float((stain - torch.tensor([[1.0], [0.0]])).abs().max()) <= 0.1
    torch.testing.assert_close(stain.std(0), torch.full((2, 3), 0.2 / 12**0.5), rtol=0.05, atol=0)


@pytest.mark.slow
def test_drawn_colors_have_torchvisions_statistics(photos: Tensor) -> None:
    images = photos[:2].repeat(60, 1, 1, 1)
    recipe = NOTHING.model_copy(update={"color_jitter": 0.25})
    found = draw(recipe, images).float().mean((2, 3))
    torch.manual_seed(0)
    jitter = v2.ColorJitter(0.25, 0.25, 0.25, 0.05)
    expected = torch.stack([jitter(whole(image)) for image in images]).float().mean((2, 3))
    torch.testing.assert_close(found.mean(0), expected.mean(0), rtol=0, atol=8)
    torch.testing.assert_close(found.std(0), expected.std(0), rtol=0.25, atol=0)


def test_stain_moves_colors_and_no_pixel_elsewhere(photos: Tensor) -> None:
    moved = draw(NOTHING.model_copy(update={"stain": 0.1}), photos)
    untouched = torch.stack([whole(image) for image in photos])
    assert 3 < float((moved.float() - untouched.float()).abs().mean()) < 40
