"""The images of a part, decoded and resized by `ssr_edge.images.preprocess`, and their conversion to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ssr_edge.common.errors import InputError
from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import MEAN_BGR, STD_BGR, Image, load
from ssr_train.data.breakhis import Record


@dataclass(frozen=True)
class LabeledImages:
    """The n images of a part: rows of an array that may contain others, in memory or mapped from a cache.

    stored: uint8 [m, size, size, 3], BGR. rows: int64 [n], positions in `stored`. targets: int64 [n]. unreadable: one
    message per image left out.
    """

    stored: Image
    rows: npt.NDArray[np.int64]
    targets: Tensor
    records: list[Record]
    unreadable: list[str]

    def __len__(self) -> int:
        return len(self.records)

    @property
    def pixels(self) -> Image:
        """uint8 [n, size, size, 3], BGR, copied into memory."""
        return self.stored[self.rows]

    def rgb(self, chosen: slice | Tensor) -> Tensor:
        """The chosen images as uint8 RGB [k, 3, size, size]; only they are read if `stored` is mapped."""
        return to_rgb(self.stored[self.rows[chosen if isinstance(chosen, slice) else chosen.numpy()]])


def load_images(records: Sequence[Record], size: int) -> LabeledImages:
    """Decodes and resizes every record in threads; unreadable images are left out and reported."""
    pixels = np.empty((len(records), size, size, 3), np.uint8)
    kept: list[Record] = []
    unreadable: list[str] = []
    with ThreadPoolExecutor() as pool:
        for record, image in zip(records, pool.map(lambda r: load_or_reason(r.path, size), records), strict=True):
            if isinstance(image, InputError):
                unreadable.append(image.found)
            else:
                pixels[len(kept)] = image
                kept.append(record)
    targets = torch.tensor([record.target for record in kept], dtype=torch.int64)
    return LabeledImages(pixels[: len(kept)], np.arange(len(kept)), targets, kept, unreadable)


def load_or_reason(path: Path, size: int) -> Image | InputError:
    """uint8 [size, size, 3], BGR, or the error if the image can't be read."""
    try:
        return load(path, size)
    except InputError as error:
        return error


def draw_order(targets: Tensor, sampling: Literal["shuffled", "balanced"]) -> Tensor:
    """int64 [n]: the order of n images in an epoch, drawn from torch's global CPU generator.

    `shuffled` shows each image once; `balanced` draws with replacement, each class present equally often.
    targets: int64 [n].
    """
    if sampling == "shuffled":
        return torch.randperm(len(targets))
    return torch.multinomial(1 / torch.bincount(targets)[targets].double(), len(targets), replacement=True)


def normalize(rgb: Tensor) -> Tensor:
    """uint8 RGB [n, 3, h, w] in [0, 255] -> float32 of the same shape, normalized by ImageNet's mean and deviation."""
    mean = torch.tensor(MEAN_BGR[::-1], device=rgb.device).view(1, 3, 1, 1) * 255
    deviation = torch.tensor(STD_BGR[::-1], device=rgb.device).view(1, 3, 1, 1) * 255
    return (rgb.float() - mean) / deviation


def upload(images: Tensor, device: torch.device) -> Tensor:
    """Copies the images to the device; for a GPU asynchronously, from page-locked memory."""
    return images.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else images


def to_rgb(bgr: Image) -> Tensor:
    """uint8 BGR [n, h, w, 3] -> uint8 RGB [n, 3, h, w], channels last in memory."""
    # Reversing the channels by slicing and copying is fifty times as slow in NumPy.
    rgb = cv2.cvtColor(bgr.reshape(-1, *bgr.shape[2:]), cv2.COLOR_BGR2RGB).reshape(bgr.shape)
    return torch.from_numpy(rgb).permute(0, 3, 1, 2)
