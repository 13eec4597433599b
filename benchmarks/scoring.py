"""Scores INT8 models against FP32 on held-out images. Shared by the accuracy benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssr_edge.breakhis.names import CLASSES, parse_name
from ssr_edge.evaluation.metrics import measure
from ssr_edge.images.preprocess import Image, load
from ssr_edge.runners.openvino.core import openvino_core
from ssr_edge.runners.openvino.runner import compile_options
from ssr_export.image_sets import ImageSets, find_image_sets
from ssr_train.training.checkpoint import CheckpointCard

BATCH = 8
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """Scores of an INT8 model.

    agreement: fraction of labels equal to FP32's. logit_error: mean |int8 - fp32| / mean |fp32|. largest: the largest
    difference / the largest FP32 logit.
    """

    agreement: float
    logit_error: float
    largest: float
    macro_f1: float


@dataclass(frozen=True)
class Scorer:
    """images: uint8 BGR [n, 224, 224, 3]. truth: class numbers. exact: FP32's logits [n, 8]."""

    images: Image
    truth: list[int]
    exact: Logits

    @staticmethod
    def from_model(held_out: list[Path], fp32: Path) -> Scorer:
        """Scorer for image files with BreaKHis names and an FP32 model."""
        images = np.stack([load(path) for path in held_out])
        return Scorer(images, true_classes(held_out), run_openvino(fp32, images))

    @property
    def fp32_macro_f1(self) -> float:
        """Macro-F1 of the FP32 model."""
        return measure(self.truth, self.exact.argmax(1)).macro_f1

    def score(self, logits: Logits) -> Scores:
        """Scores a model's logits [n, 8] for the images."""
        label, exact_label = logits.argmax(1), self.exact.argmax(1)
        scale, error = np.abs(self.exact), np.abs(logits - self.exact)
        return Scores(
            agreement=float((label == exact_label).mean()),
            logit_error=float(error.mean() / scale.mean()),
            largest=float(error.max() / scale.max()),
            macro_f1=measure(self.truth, label).macro_f1,
        )


def true_classes(paths: list[Path]) -> list[int]:
    """Class numbers of image files, from their BreaKHis names."""
    names = [parse_name(path) for path in paths]
    return [CLASSES.index(name.label) for name in names if name is not None]


def image_sets(checkpoint: Path, card: CheckpointCard, data: Path | None) -> ImageSets:
    """The checkpoint's own split of BreaKHis in `data`; without `data`, the images next to the checkpoint."""
    if data is None:
        return find_image_sets(checkpoint, card, None)
    # Not the checkpoint's own folder, so that its split of the data is looked up.
    return find_image_sets(Path("/"), card.model_copy(update={"data": str(data)}), None)


def run_openvino(model: Path, images: Image) -> Logits:
    """Logits [n, 8] of an ONNX or OpenVINO IR file."""
    compiled = openvino_core().compile_model(str(model), "CPU", compile_options("int8"))
    batches = [compiled({0: images[start : start + BATCH]}) for start in range(0, len(images), BATCH)]
    return np.concatenate([np.array(batch["logits"]) for batch in batches])
