"""Writes images of an evaluation: confusion matrix, worst mistakes, activation maps."""

from __future__ import annotations

from pathlib import Path

from ssr_edge.breakhis.labels import ImagesWithTruth
from ssr_edge.common.files import cannot_write, replacing
from ssr_edge.evaluation.accuracy import Predicted
from ssr_edge.evaluation.contact_sheet import MOST, contact_sheet
from ssr_edge.evaluation.mistakes import worst_mistakes
from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import Image, decode
from ssr_edge.inference.prediction import decide
from ssr_edge.overlay.cam import draw_cam
from ssr_edge.overlay.draw import draw
from ssr_train.evaluation.evaluate import Evaluation

CONFUSION, MISTAKES = "confusion", "mistakes.png"
_QUALITY = 95


def write_pictures(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Writes confusion.svg, confusion.png and, if there are mistakes, mistakes.png; returns the paths.

    Raises:
        UsageError: the folder can't be written.
    """
    from ssr_train.evaluation.confusion_plot import plot_confusion

    _make(folder)
    figure = plot_confusion(evaluation.metrics, Path(evaluation.name).name)
    written = []
    for kind in ("svg", "png"):
        written.append(folder / f"{CONFUSION}.{kind}")
        with replacing(written[-1]) as temporary:
            figure.savefig(temporary, format=kind, dpi=150)
    records = evaluation.images.records
    images = ImagesWithTruth([record.path for record in records], [record.target for record in records], 0)
    predicted = Predicted(evaluation.predicted.tolist(), evaluation.probabilities.max(axis=1).tolist())
    if mistakes := worst_mistakes(images, predicted, MOST):
        wrong = int((evaluation.predicted != images.truth).sum())
        title = f"{Path(evaluation.name).name}: {wrong} mistakes, most confident first, {len(mistakes)} shown"
        written.append(_write(folder / MISTAKES, contact_sheet(mistakes, title)))
    return written


def write_cams(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Writes NAME.jpg for each image: the activation map of the predicted class over the original; returns the paths.

    Raises:
        UsageError: the folder can't be written.
    """
    assert evaluation.cam is not None
    _make(folder)
    written = []
    for record, probabilities, cam in zip(
        evaluation.images.records, evaluation.probabilities, evaluation.cam, strict=True
    ):
        drawn = draw_cam(decode(record.path), cam)
        draw(drawn, decide(record.path, drawn.shape, probabilities, record.magnification, latency_ms=0.0))
        written.append(_write(folder / f"{record.name}.jpg", drawn))
    return written


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error, "the same command with another folder") from error


def _write(path: Path, image: Image) -> Path:
    """Writes an image, uint8 [h, w, 3], BGR; the suffix selects PNG or JPEG."""
    data = cv2.imencode(path.suffix, image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())
    return path
