"""Augmentation of training images: crop, quarter turn, flip (paper section 3.3), color and stain.

Drawing and computing are separate: `draw` draws the parameters of each image of a batch, and calling an `Augment`
applies them, on any device and to any slice of the batch. So processes that share a batch, each with a slice of the
same `Views`, compute exactly what a single process would.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ssr_edge.images.preprocess import IMAGE_SIZE
from ssr_train.data.color import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, perturb_stain
from ssr_train.training.recipe import AugmentRecipe

# Images are stored larger than the network's input, so that crops keep a resolution of about 224 pixels.
STORED_SIZE = 256
_ASPECT_RATIOS = (4 / 5, 5 / 4)
_ATTEMPTS = 10  # as in torchvision's RandomResizedCrop: if none of these crops fits, the whole image is used
_JITTER: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    adjust_hue,
)


@dataclass(frozen=True)
class Views:
    """Augmentation parameters of n images. All tensors are on the CPU.

    boxes: int64 [n, 4]: top, left, height and width of the crop. quarters: int64 [n], counter-clockwise quarter turns.
    flips: bool [n]. jitter: float32 [n, 4]: factors of brightness, contrast and saturation, rotation of the hue.
    jitter_order: order of the four, the same for all n. stain: float32 [n, 2, 3]: scale and shift of
    hematoxylin, eosin and DAB.
    """

    boxes: Tensor
    quarters: Tensor
    flips: Tensor
    jitter: Tensor
    jitter_order: list[int]
    stain: Tensor

    def __getitem__(self, rows: slice) -> Views:
        return Views(
            self.boxes[rows],
            self.quarters[rows],
            self.flips[rows],
            self.jitter[rows],
            self.jitter_order,
            self.stain[rows],
        )


class Augment:
    """Callable: uint8 RGB [n, 3, STORED_SIZE, STORED_SIZE] and its Views -> uint8 RGB [n, 3, size, size]."""

    def __init__(self, recipe: AugmentRecipe, size: int = IMAGE_SIZE) -> None:
        self._recipe = recipe
        self._size = size

    def draw(self, count: int) -> Views:
        """Draws independent views for `count` images.

        Draws from torch's global CPU generator only, so that seeding it once per epoch makes the epoch reproducible.
        """
        recipe = self._recipe
        quarters = torch.randint(4, (count,)) if recipe.right_angle_rotations else torch.zeros(count, dtype=torch.int64)
        flips = torch.rand(count) < 0.5 if recipe.horizontal_flip else torch.zeros(count, dtype=torch.bool)
        strength = torch.tensor([1, 1, 1, 1 / 5]) * recipe.color_jitter
        jitter = torch.tensor([1.0, 1, 1, 0]) + strength * _uniform(-1, 1, count, 4)
        stain = torch.tensor([[1.0], [0]]) + recipe.stain * _uniform(-1, 1, count, 2, 3)
        boxes = _draw_boxes(count, recipe.crop_scale)
        return Views(boxes, quarters, flips, jitter.float(), torch.randperm(4).tolist(), stain.float())

    def __call__(self, images: Tensor, views: Views) -> Tensor:
        """Applies the views on the device of the images."""
        drawn = zip(views.boxes.tolist(), views.quarters.tolist(), views.flips.tolist(), strict=True)
        cut = [self._cut(image, *one) for image, one in zip(images, drawn, strict=True)]
        if not (self._recipe.color_jitter or self._recipe.stain):
            return torch.cat(cut)
        # A CPU is several times faster one image at a time, which fits its cache, a GPU with all images at once.
        step = 1 if images.device.type == "cpu" else len(images)
        parts = [slice(start, start + step) for start in range(0, len(images), step)]
        return torch.cat([self._color(torch.cat(cut[part]), views[part]) for part in parts])

    def _cut(self, image: Tensor, box: list[int], quarters: int, flip: bool) -> Tensor:
        """uint8 [3, h, w] -> uint8 [1, 3, size, size]."""
        top, left, height, width = box
        crop = image[None, :, top : top + height, left : left + width]
        # PyTorch resizes uint8 only on a CPU.
        resized = F.interpolate(
            crop if crop.device.type == "cpu" else crop.float(), (self._size,) * 2, mode="bilinear", antialias=True
        )
        turned = torch.rot90(resized.round().to(torch.uint8), quarters, (2, 3))
        return turned.flip(3) if flip else turned

    def _color(self, images: Tensor, views: Views) -> Tensor:
        """uint8 -> uint8, both [n, 3, size, size]."""
        # Contiguous channels: most of the work is arithmetic between whole channels.
        values = images.contiguous().float().div_(255)
        if self._recipe.stain:
            scales, shifts = views.stain.to(values.device).unbind(1)
            values = perturb_stain(values, scales, shifts)
        if self._recipe.color_jitter:
            factors = views.jitter.to(values.device)
            for number in views.jitter_order:
                values = _JITTER[number](values, factors[:, number])
        return values.mul_(255).round_().to(torch.uint8)


def _draw_boxes(count: int, smallest_share: float) -> Tensor:
    """int64 [count, 4]: crops as in RandomResizedCrop: uniform in the share of the area and the log of the ratio."""
    area = STORED_SIZE**2 * _uniform(smallest_share, 1, count, _ATTEMPTS)
    ratio = _uniform(math.log(_ASPECT_RATIOS[0]), math.log(_ASPECT_RATIOS[1]), count, _ATTEMPTS).exp()
    sides = torch.stack(
        [(area / ratio).sqrt(), (area * ratio).sqrt()], 2
    ).round()  # [count, attempts, height and width]
    fits = (sides <= STORED_SIZE).all(2)
    first = fits.byte().argmax(1)
    chosen = torch.where(fits.any(1, keepdim=True), sides[torch.arange(count), first], STORED_SIZE)
    corner = ((STORED_SIZE - chosen + 1) * _uniform(0, 1, count, 2)).floor()
    return torch.cat([corner, chosen], 1).long()


def _uniform(low: float, high: float, *shape: int) -> Tensor:
    """float64, because a float32 just below 1 could round up to a position outside the image."""
    return low + (high - low) * torch.rand(shape, dtype=torch.float64)
