"""Judges a checkpoint in PyTorch or a bundle's engine on the images of a part, by the same preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from ssr_edge.bundle import Bundle
from ssr_edge.errors import DataError
from ssr_edge.metrics import Metrics, measure
from ssr_edge.preprocess import IMAGE_SIZE
from ssr_edge.runners import choose_precision, open_runner
from ssr_train.breakhis import contradictory_twins, read
from ssr_train.checkpoint import CheckpointCard, load_checkpoint
from ssr_train.dataset import LabelledImages, load_images
from ssr_train.evaluate import evaluate_images

WhichPart = Literal["val", "test", "all"]
_BATCH = 8


def judge_checkpoint(path: Path, data: Path | None, part: WhichPart) -> tuple[str, Metrics]:
    """Name and metrics of a checkpoint in FP32 PyTorch.

    Raises:
        DataError: the images of the part are not here.
    """
    network, card = load_checkpoint(path)
    images = _images(card, data, part)
    return str(path), evaluate_images(network, images, torch.device("cpu"), None)[0]


def judge_bundle(
    bundle: Bundle, data: Path | None, part: WhichPart, runtime: str, precision: str | None
) -> tuple[str, Metrics]:
    """Name and metrics of a bundle's engine; the part is that of the checkpoint the bundle was made from.

    Raises:
        DataError: the checkpoint or the images of the part are not here.
    """
    checkpoint = Path(bundle.manifest.provenance.checkpoint)
    if not checkpoint.is_file():
        raise DataError(
            f"{checkpoint}, which says what this bundle was trained on, is not here",
            expected="the checkpoint at its place",
            next_step=f"ssr-edge bench FOLDER --bundle {bundle.path}  (judges on labelled images without it)",
        )
    images = _images(load_checkpoint(checkpoint)[1], data, part)
    with open_runner(bundle, runtime, choose_precision(bundle, precision, runtime)) as runner:
        pixels = images.pixels
        predicted = [
            runner.infer(np.ascontiguousarray(pixels[start : start + _BATCH])).logits.argmax(axis=1)
            for start in range(0, len(images), _BATCH)
        ]
        return f"{bundle.path} {runner.name}", measure(images.targets.numpy(), np.concatenate(predicted))


def _images(card: CheckpointCard, data: Path | None, part: WhichPart) -> LabelledImages:
    folder = data or Path(card.data)
    records, _ = contradictory_twins(read(folder, card.magnification))
    if part != "all":
        records = card.to_split().select(records, part)
    if not records:
        raise DataError(
            f"{folder} holds none of the checkpoint's {part} images",
            expected="the images it was trained with, or --part all for others",
            next_step=f"ssr-edge evaluate --data {folder} --part all",
        )
    images = load_images(records, IMAGE_SIZE)
    if not len(images):
        raise DataError(
            f"none of the {len(records)} {part} images in {folder} can be read: {images.unreadable[0]}",
            expected="images that open",
            next_step="copy the data set again, then ssr-edge evaluate",
        )
    return images
