"""A part's images, decoded and resized by `ssr_edge.images.preprocess`, held and made ready for the network."""

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
    """A part's n images: rows of an array that may hold others too, in memory or mapped from a cache.

    stored: uint8 [m, size, size, 3], BGR. rows: int64 [n], places in `stored`. targets: int64 [n]. unreadable: one
    message for each image left out.
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
        """The chosen images as uint8 RGB [k, 3, size, size]; only they are read where `stored` is mapped."""
        return to_rgb(self.stored[self.rows[chosen if isinstance(chosen, slice) else chosen.numpy()]])


def load_images(records: Sequence[Record], size: int) -> LabeledImages:
    """Decodes and resizes every record in threads; an unreadable image is left out and named."""
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
    """uint8 [size, size, 3], BGR, or why the image can't be read."""
    try:
        return load(path, size)
    except InputError as error:
        return error


def draw_order(targets: Tensor, sampling: Literal["shuffled", "balanced"]) -> Tensor:
    """int64 [n]: in which order an epoch shows n images, drawn from torch's global CPU generator.

    `shuffled` shows each once; `balanced` draws with replacement, each class that is there as often as another.
    targets: int64 [n].
    """
    if sampling == "shuffled":
        return torch.randperm(len(targets))
    return torch.multinomial(1 / torch.bincount(targets)[targets].double(), len(targets), replacement=True)


def normalize(rgb: Tensor) -> Tensor:
    """uint8 RGB [n, 3, h, w] in [0, 255] -> float32 of the same shape, with ImageNet's mean and deviation taken out."""
    mean = torch.tensor(MEAN_BGR[::-1], device=rgb.device).view(1, 3, 1, 1) * 255
    deviation = torch.tensor(STD_BGR[::-1], device=rgb.device).view(1, 3, 1, 1) * 255
    return (rgb.float() - mean) / deviation


def upload(images: Tensor, device: torch.device) -> Tensor:
    """The images on the device; from page-locked memory a GPU fetches them while the CPU goes on."""
    return images.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else images


def to_rgb(bgr: Image) -> Tensor:
    """uint8 BGR [n, h, w, 3] -> uint8 RGB [n, 3, h, w], channels last in memory."""
    # A copy that runs backwards over the channels takes NumPy fifty times as long.
    rgb = cv2.cvtColor(bgr.reshape(-1, *bgr.shape[2:]), cv2.COLOR_BGR2RGB).reshape(bgr.shape)
    return torch.from_numpy(rgb).permute(0, 3, 1, 2)
