"""The demo shipped with the package: weights that work, and images they were not trained on."""

from __future__ import annotations

from pathlib import Path

from ssr_edge.demo import DEMO_CHECKPOINT, DEMO_IMAGES
from ssr_train.evaluation.evaluate import evaluate_checkpoint
from ssr_train.training.checkpoint import load_checkpoint


def test_the_demos_images_were_neither_trained_nor_calibrated_on(
    demo_images: list[Path], calibration_images: list[Path]
) -> None:
    _, card = load_checkpoint(DEMO_CHECKPOINT)
    assert {card.split[path.stem] for path in demo_images} == {"test"}
    assert {path.stem for path in demo_images} & {path.stem for path in calibration_images} == set()


def test_the_demos_weights_recognize_the_demos_images() -> None:
    metrics = evaluate_checkpoint(DEMO_CHECKPOINT, DEMO_IMAGES, "test").metrics
    assert metrics.images == 22
    assert metrics.accuracy >= 0.8


def test_the_demos_card_names_its_data_set_and_no_local_folder() -> None:
    _, card = load_checkpoint(DEMO_CHECKPOINT)
    assert "CC BY 4.0" in card.data
    assert not card.data.startswith("/")
