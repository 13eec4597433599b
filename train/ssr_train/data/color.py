"""Color augmentation of a batch: jitter as in torchvision, and stain perturbation after Tellez et al.

Images are float32 RGB [n, 3, h, w] in [0, 1] throughout; factors are float32 [n] or [n, 3], one set per image.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Rows: the RGB optical densities of hematoxylin, eosin and DAB (Ruifrok and Johnston 2001), as in scikit-image.
RGB_FROM_HED = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
# Below this mean density a pixel is glass (Macenko et al. 2009), which is not stained.
_GLASS_DENSITY = 0.15
_GRAY = (0.2989, 0.587, 0.114)  # ITU-R BT.601, rounded as in torchvision


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Scales the values; 1 is the identity, 0 gives black."""
    return (images * _by_image(factors)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Scales the distance to the mean gray of the image; 1 is the identity, 0 gives that gray."""
    mean = _gray(images).mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, _by_image(factors)).clamp_(0, 1)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Scales the distance to the gray of each pixel; 1 is the identity, 0 gives a gray image."""
    return torch.lerp(_gray(images), images, _by_image(factors)).clamp_(0, 1)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Rotates the hue in HSV by a fraction of the circle in [-0.5, 0.5]; value and saturation are kept."""
    value = images.amax(1, keepdim=True)
    chroma = value - images.amin(1, keepdim=True)
    red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
    # The hue in sixths of the circle; gray pixels have no hue, and any value works since their chroma is zero.
    third = torch.where(value == green, (blue - red).add_(chroma, alpha=2), (red - green).add_(chroma, alpha=4))
    sixths = torch.where(value == red, green - blue, third).div_(chroma.clamp(min=1e-8)).add_(6 * _by_image(turns))
    # A channel is below the value by the chroma times the distance of the hue from the third of that channel.
    offsets = torch.tensor([5.0, 3.0, 1.0], device=images.device).view(1, 3, 1, 1)
    position = sixths + offsets
    position.sub_(torch.floor(position / 6), alpha=6)  # remainder(6), three times as fast
    distance = torch.minimum(position, 4 - position).clamp_(0, 1)
    return value - chroma * distance


def perturb_stain(images: Tensor, scales: Tensor, shifts: Tensor) -> Tensor:
    """Scales and shifts the amounts of hematoxylin, eosin and DAB (Tellez et al. 2018, section 3.2; 2019).

    scales, shifts: float32 [n, 3]; 1 and 0 are the identity up to rounding. Amounts are natural logarithms of the
    absorbed light. Unlike in the papers, the shift fades out on glass, which is not stained, so that white stays white.
    """
    density = -images.clamp(min=1 / 255).log()  # [n, 3, h, w]
    from_hed = torch.tensor(RGB_FROM_HED, device=images.device)
    from_hed = from_hed / from_hed.norm(dim=1, keepdim=True)
    # Row vectors: rgb -> hed, scaled by stain, -> rgb, as one matrix per image.
    mixed = torch.linalg.inv(from_hed) @ (scales.unsqueeze(2) * from_hed)  # [n, 3, 3]
    tissue = (density.mean(1, keepdim=True) / _GLASS_DENSITY).clamp_(max=1)
    stained = torch.einsum("nij,nihw->njhw", mixed, density) + tissue * (shifts @ from_hed)[:, :, None, None]
    perturbed: Tensor = stained.neg_().exp_().clamp_(max=1)
    return perturbed


def _gray(images: Tensor) -> Tensor:
    """[n, 3, h, w] -> [n, 1, h, w]."""
    red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
    return (red * _GRAY[0]).add_(green, alpha=_GRAY[1]).add_(blue, alpha=_GRAY[2])


def _by_image(factors: Tensor) -> Tensor:
    return factors.view(-1, 1, 1, 1)
