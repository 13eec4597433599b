"""A real but tiny bundle: the smallest architecture with random weights, exported once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ssr_edge.bench import options
from ssr_edge.bench.measure import schedule
from ssr_edge.bench.measure.schedule import Budget
from ssr_edge.bundle.bundle import Bundle
from ssr_export.random_bundle import random_bundle
from tests.edge.bench.tiny_images import TINY, write_image

# Rounds enough to see them work; the figures are not looked at.
BRIEF = Budget(warm_s=0.1, rounds_s=0.5, turn_s=0.02, max_images=None, batches=(1, 2, 8), live_s=0.3)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(8):
        write_image(folder / f"field{number}.jpg", seed=number)
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(image_folder: Path) -> Iterator[Bundle]:
    with random_bundle(TINY, sorted(image_folder.iterdir()), seed=0) as bundle:
        yield bundle


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "QUICK", BRIEF)
    monkeypatch.setattr(schedule, "MIN_ROUNDS", 2)


@pytest.fixture(scope="session")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo network's FP32 ONNX file; treat it as read-only."""
    from ssr_edge.demo import DEMO_CHECKPOINT
    from ssr_export.folding.fold import fold
    from ssr_export.onnx.to_onnx import export_onnx
    from ssr_train.training.checkpoint import load_checkpoint

    path = tmp_path_factory.mktemp("demo") / "model.fp32.onnx"
    export_onnx(fold(load_checkpoint(DEMO_CHECKPOINT)[0]), path)
    return path
