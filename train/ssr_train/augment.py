"""Random views of a training image: crop, flip, rotation and colour (paper section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms import v2

from ssr_edge.preprocess import IMAGE_SIZE
from ssr_train.recipe import AugmentRecipe

# Images are held a little larger than the network's input, so that a crop still has 224 real pixels to choose from.
STORED_SIZE = 256


class Augment:
    """Callable: uint8 RGB [n, 3, STORED_SIZE, STORED_SIZE] -> uint8 RGB [n, 3, size, size], each image drawn anew.

    Draws from torch's global generator only, so that seeding it once an epoch fixes the whole epoch.
    """

    def __init__(self, recipe: AugmentRecipe, size: int = IMAGE_SIZE) -> None:
        self._right_angles = recipe.right_angle_rotations
        steps: list[torch.nn.Module] = [
            v2.RandomResizedCrop(size, scale=(recipe.crop_scale, 1.0), ratio=(4 / 5, 5 / 4), antialias=True)
        ]
        if recipe.horizontal_flip:
            steps.append(v2.RandomHorizontalFlip())
        if recipe.colour_jitter:
            strength = recipe.colour_jitter
            steps.append(v2.ColorJitter(brightness=strength, contrast=strength, saturation=strength, hue=strength / 5))
        self._steps = v2.Compose(steps)

    def __call__(self, images: Tensor) -> Tensor:
        """Augments each image on its own."""
        return torch.stack([self._one(image) for image in images])

    def _one(self, image: Tensor) -> Tensor:
        if self._right_angles:
            image = torch.rot90(image, int(torch.randint(4, ())), (1, 2))
        view: Tensor = self._steps(image)
        return view
