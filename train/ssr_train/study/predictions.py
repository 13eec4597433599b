"""The predictions of a run on its test images, stored with the run so that statistics need no second evaluation."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import DataError
from ssr_edge.common.files import replacing

PREDICTIONS = "predictions.csv"
_COLUMNS = ("name", "patient", "truth", *(f"p_{label}" for label in CLASSES))


@dataclass(frozen=True)
class Predictions:
    """names, patients: [n]. truth: class numbers [n], positions in CLASSES. probabilities: float32 [n, 8]."""

    names: list[str]
    patients: list[str]
    truth: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """Class numbers [n] with the largest probability."""
        largest: npt.NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return largest

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether the predicted class is the true class: [n]."""
        right: npt.NDArray[np.bool_] = self.predicted == self.truth
        return right

    def write(self, path: Path) -> None:
        """Writes `name,patient,truth,p_A..p_PC` as CSV; nine digits preserve float32 exactly."""
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            rows = zip(self.names, self.patients, self.truth.tolist(), self.probabilities, strict=True)
            for name, patient, truth, row in rows:
                writer.writerow([name, patient, CLASSES[truth], *(f"{value:.9g}" for value in row)])

    @staticmethod
    def read(path: Path) -> Predictions:
        """Reads a file that `write` wrote.

        Raises:
            DataError: the file is missing, empty or has another format.
        """
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            values = [[float(row[column]) for column in _COLUMNS[3:]] for row in rows]
            probabilities = np.array(values, np.float32).reshape(len(rows), len(CLASSES))
            truth = np.array([CLASSES.index(row["truth"]) for row in rows], np.int64)
            if not rows:
                raise ValueError("no rows")
            return Predictions([row["name"] for row in rows], [row["patient"] for row in rows], truth, probabilities)
        except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
            raise DataError(
                f"{path} can't be read as predictions: {error}",
                expected=f"a file with the columns {','.join(_COLUMNS)}",
                next_step=f"rm {path}, then the same ssr-edge study command",
            ) from error


def predict_test(checkpoint: Path, device: str) -> Predictions:
    """Runs a checkpoint in FP32 on the test images of its own split, from the data it was trained with.

    Raises:
        CheckpointError: the checkpoint can't be read.
        DataError: its test images are missing.
    """
    import torch

    from ssr_edge.images.preprocess import IMAGE_SIZE
    from ssr_train.data.breakhis import read
    from ssr_train.data.dataset import load_images
    from ssr_train.evaluation.predict import evaluate_images
    from ssr_train.training.checkpoint import load_checkpoint

    network, card = load_checkpoint(checkpoint)
    # The split contains no contradictory twins, so they need not be searched for again.
    records = card.to_split().select(read(Path(card.data), card.magnification), "test")
    images = load_images(records, IMAGE_SIZE)
    if not len(images):
        raise DataError(
            f"{card.data} contains none of the test images of {checkpoint}",
            expected="the data set it was trained with",
            next_step="restore the data set, then run the same ssr-edge study command",
        )
    _, logits = evaluate_images(network.to(device), images, torch.device(device), None)
    names, patients = zip(*((record.name, record.patient) for record in images.records), strict=True)
    return Predictions(list(names), list(patients), images.targets.numpy(), logits.softmax(dim=1).numpy())
