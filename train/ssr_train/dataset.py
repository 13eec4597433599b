"""Holds a part's images decoded in memory: uint8, already resized by `ssr_edge.preprocess`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ssr_edge.errors import InputError
from ssr_edge.preprocess import MEAN_BGR, STD_BGR, Image, load
from ssr_train.breakhis import Record


@dataclass(frozen=True)
class LabelledImages:
    """pixels: uint8 [n, size, size, 3], BGR. targets: int64 [n]. unreadable: one message for each image left out."""

    pixels: Image
    targets: Tensor
    records: list[Record]
    unreadable: list[str]

    def __len__(self) -> int:
        return len(self.records)


def load_images(records: Sequence[Record], size: int) -> LabelledImages:
    """Decodes and resizes every record in threads; an unreadable image is left out and named."""
    pixels = np.empty((len(records), size, size, 3), np.uint8)
    kept: list[Record] = []
    unreadable: list[str] = []
    with ThreadPoolExecutor() as pool:
        for record, image in zip(records, pool.map(lambda r: _load_or_reason(r.path, size), records), strict=True):
            if isinstance(image, InputError):
                unreadable.append(image.found)
            else:
                pixels[len(kept)] = image
                kept.append(record)
    targets = torch.tensor([record.target for record in kept], dtype=torch.int64)
    return LabelledImages(pixels[: len(kept)], targets, kept, unreadable)


def normalise(rgb: Tensor) -> Tensor:
    """uint8 RGB [n, 3, h, w] in [0, 255] -> float32 of the same shape, with ImageNet's mean and deviation taken out."""
    mean = torch.tensor(MEAN_BGR[::-1], device=rgb.device).view(1, 3, 1, 1) * 255
    deviation = torch.tensor(STD_BGR[::-1], device=rgb.device).view(1, 3, 1, 1) * 255
    return (rgb.float() - mean) / deviation


def to_rgb(bgr: Image) -> Tensor:
    """uint8 BGR [n, h, w, 3] -> uint8 RGB [n, 3, h, w]."""
    return torch.from_numpy(np.ascontiguousarray(bgr[..., ::-1].transpose(0, 3, 1, 2)))


def _load_or_reason(path: Path, size: int) -> Image | InputError:
    try:
        return load(path, size)
    except InputError as error:
        return error
