"""Evaluates a checkpoint in PyTorch, or an engine of a bundle, on the images of a part, with the same preprocessing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import DataError, UsageError
from ssr_edge.common.progress import progress
from ssr_edge.evaluation.metrics import Metrics, measure
from ssr_edge.images.preprocess import IMAGE_SIZE, Image
from ssr_edge.runners.base import Outputs
from ssr_edge.runners.choose import choose_precision, open_runner
from ssr_train.data.breakhis import contradictory_twins, read
from ssr_train.data.dataset import LabeledImages, load_images, normalize, to_rgb
from ssr_train.evaluation.symmetries import symmetries
from ssr_train.models.network import Network
from ssr_train.training.checkpoint import CheckpointCard, load_checkpoint

WhichPart = Literal["val", "test", "all"]
_BATCH = 8


@dataclass(frozen=True)
class Evaluation:
    """Results of a classifier. name: checkpoint, or bundle and engine. probabilities: float32 [n, 8].

    cam: activation map of the predicted class of each image, float32 [n, h, w]; None if not requested.
    """

    name: str
    metrics: Metrics
    images: LabeledImages
    probabilities: npt.NDArray[np.float32]
    cam: npt.NDArray[np.float32] | None

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """Predicted class numbers [n]."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def patients(self) -> list[str]:
        """The patient of each image."""
        return [record.patient for record in self.images.records]


def evaluate_checkpoint(
    path: Path, data: Path | None, part: WhichPart, tta: bool = False, cam: bool = False
) -> Evaluation:
    """Evaluates a checkpoint in FP32 PyTorch. tta: averages the probabilities of each image's eight symmetries.

    cam: also computes activation maps, of the untransformed images.

    Raises:
        DataError: the images of the part are missing.
    """
    network, card = load_checkpoint(path)
    return _evaluate(str(path), _images(card, data, part), lambda images: _outputs(network, images), tta, cam)


def evaluate_bundle(
    bundle: Bundle,
    data: Path | None,
    part: WhichPart,
    runtime: str,
    precision: str | None,
    tta: bool = False,
    cam: bool = False,
) -> Evaluation:
    """Evaluates an engine of a bundle on a part of the split of its checkpoint. tta, cam: see `evaluate_checkpoint`.

    Raises:
        DataError: the checkpoint or the images of the part are missing.
        UsageError: maps are requested, but the bundle was built without them.
    """
    checkpoint = Path(bundle.manifest.provenance.checkpoint)
    if not checkpoint.is_file():
        raise DataError(
            f"{checkpoint}, the checkpoint of {bundle.path}, does not exist; it contains the split",
            expected="the checkpoint at the path from which the bundle was built",
            next_step=f"ssr-edge bench FOLDER --bundle {bundle.path}  (evaluates labeled images without it)",
        )
    if cam and not bundle.manifest.cam:
        raise UsageError(
            f"{bundle.path} was built without activation maps",
            expected="a bundle built with --cam, or a checkpoint",
            next_step=f"ssr-edge build-engine {checkpoint} --cam --bundle {bundle.path}",
        )
    images = _images(load_checkpoint(checkpoint)[1], data, part)
    with open_runner(bundle, runtime, choose_precision(bundle, precision, runtime)) as runner:
        return _evaluate(f"{bundle.path} {runner.name}", images, runner.infer, tta, cam)


def _evaluate(name: str, images: LabeledImages, infer: Callable[[Image], Outputs], tta: bool, cam: bool) -> Evaluation:
    probabilities, maps = [], []
    with progress("evaluating, image", len(images)) as advance:
        for start in range(0, len(images), _BATCH):
            batch = np.ascontiguousarray(images.pixels[start : start + _BATCH])
            views = [infer(view) for view in (symmetries(batch) if tta else (batch,))]
            probabilities.append(np.mean([view.probabilities for view in views], axis=0, dtype=np.float32))
            if cam:
                assert views[0].cam is not None
                maps.append(views[0].cam[np.arange(len(batch)), probabilities[-1].argmax(axis=1)])
            advance(len(batch), "")
    all_probabilities = np.concatenate(probabilities)
    metrics = measure(images.targets.numpy(), all_probabilities.argmax(axis=1))
    return Evaluation(name, metrics, images, all_probabilities, np.concatenate(maps) if cam else None)


@torch.inference_mode()
def _outputs(network: Network, images: Image) -> Outputs:
    logits, cam = network.forward_with_cam(normalize(to_rgb(images)).to(memory_format=torch.channels_last))
    return Outputs(logits.numpy(), torch.softmax(logits, dim=1).numpy(), cam.numpy())


def _images(card: CheckpointCard, data: Path | None, part: WhichPart) -> LabeledImages:
    folder = data or Path(card.data)
    records, _ = contradictory_twins(read(folder, card.magnification))
    if part != "all":
        records = card.to_split().select(records, part)
    if not records:
        raise DataError(
            f"{folder} contains none of the {part} images of the checkpoint",
            expected="the data set it was trained with, or --part all for other images",
            next_step=f"ssr-edge evaluate --data {folder} --part all",
        )
    images = load_images(records, IMAGE_SIZE)
    if not len(images):
        raise DataError(
            f"none of the {len(records)} {part} images in {folder} can be read: {images.unreadable[0]}",
            expected="images that can be decoded",
            next_step="copy the data set again, then ssr-edge evaluate",
        )
    return images
