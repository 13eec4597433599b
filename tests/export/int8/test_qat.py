"""Quantization-aware fine-tuning on the tiny tree: from a checkpoint to one that all later stages accept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ssr_edge.breakhis.names import parse_name
from ssr_edge.common.errors import CheckpointError, DataError
from ssr_edge.common.files import sha256_of
from ssr_edge.evaluation.metrics import Metrics
from ssr_edge.images.preprocess import load
from ssr_export.build_bundle import build_bundle
from ssr_export.folding.fold import fold
from ssr_export.int8.calibrate import Calibration, calibrate
from ssr_export.int8.qat import qat_start
from ssr_export.int8.ranges import Method
from ssr_export.plan import BundlePlan
from ssr_train.data.breakhis import read
from ssr_train.data.dataset import load_images
from ssr_train.evaluation.predict import evaluate_images
from ssr_train.models.arch import ArchConfig
from ssr_train.models.complexity import parameter_count
from ssr_train.models.folded import is_folded
from ssr_train.runner import TorchRunner
from ssr_train.training.checkpoint import load_checkpoint
from ssr_train.training.journal import log_epoch
from ssr_train.training.loop import Source, Start, TrainOptions, train
from ssr_train.training.recipe import load_recipe

pytestmark = pytest.mark.slow

RECIPE = load_recipe("qat").model_copy(update={"epochs": 2, "learning_rate": 1e-3, "ema_decay": 0.5})


class Killed(BaseException):
    """Simulates a kill: no code catches it."""


@pytest.fixture(scope="module")
def source(tiny_checkpoint: Path) -> Source:
    return Source(tiny_checkpoint, sha256_of(tiny_checkpoint))


@pytest.fixture(scope="module")
def options(source: Source, breakhis_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    card = load_checkpoint(source.checkpoint)[1]
    arch = ArchConfig.from_dict(card.arch)
    run = tmp_path_factory.mktemp("fine_tuned")
    return TrainOptions(run, breakhis_tree, arch, RECIPE, card.magnification, "image", 7, "cpu", source)


def start(options: TrainOptions) -> Start:
    assert options.source is not None
    return qat_start(options.source, options.data, lambda line: None)


@pytest.fixture(scope="module")
def fine_tuned(options: TrainOptions) -> tuple[Path, list[str]]:
    """The checkpoint after two epochs, and the log lines of the run."""
    lines: list[str] = []
    return train(options, False, lines.append, start(options)), lines


def test_the_result_is_a_folded_checkpoint_with_its_sources_split(
    fine_tuned: tuple[Path, list[str]], source: Source, breakhis_tree: Path
) -> None:
    network, card = load_checkpoint(fine_tuned[0])
    before, before_card = load_checkpoint(source.checkpoint)
    assert is_folded(network) and not is_folded(before)
    assert (card.folded, card.fine_tuned_from) == (True, source.sha256)
    assert (card.arch, card.magnification, card.split) == (before_card.arch, 100, before_card.split)
    assert (card.recipe["name"], card.epochs, card.seed) == ("qat", 2, 7)
    moved = (network.stem.weight - fold(before).float().stem.weight).abs().max()
    assert 0 < moved < 0.01
    images = load_images(card.to_split().select(read(breakhis_tree), "val"), 224)
    found, _ = evaluate_images(network, images, torch.device("cpu"), None)
    assert Metrics(**card.metrics["val"]) == found


def test_the_run_logs_int8_metrics_before_and_after(fine_tuned: tuple[Path, list[str]]) -> None:
    words = [line.split(":")[0] for line in fine_tuned[1] if "macro-F1" in line]
    assert words == ["val before", "val before, INT8", "val", "val, INT8", "test", "test, INT8"]


def test_calibration_and_training_see_training_images_only(
    options: TrainOptions, source: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # `build-engine` calibrates the demo with a folder of held-out images next to its weights; fine-tuning must not.
    shutil.copy(source.checkpoint, tmp_path / "weights.safetensors")
    (tmp_path / "calibration").mkdir()
    seen: list[Path] = []

    def watching(model: Path, images: list[Path], method: Method) -> Calibration:
        seen.extend(images)
        return calibrate(model, images, method)

    monkeypatch.setattr("ssr_export.int8.qat.calibrate", watching)
    begun = qat_start(replace(source, checkpoint=tmp_path / "weights.safetensors"), options.data, lambda line: None)
    assert len(seen) == 55
    assert {begun.split.parts[path.stem] for path in seen} == {"train"}
    assert len({name.label for path in seen if (name := parse_name(path))}) == 8


def test_a_killed_run_resumes_to_the_same_weights(
    fine_tuned: tuple[Path, list[str]], options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(options, run=tmp_path)
    epochs: list[Mapping[str, float]] = []

    def killed_in_epoch_2(run: Path, line: Mapping[str, float], board: object) -> None:
        epochs.append(line)
        if len(epochs) > 1:
            raise Killed
        log_epoch(run, line, board)

    monkeypatch.setattr("ssr_train.training.loop.log_epoch", killed_in_epoch_2)
    with pytest.raises(Killed):
        train(options, False, lambda line: None, start(options))
    monkeypatch.undo()
    lines: list[str] = []
    resumed = train(options, True, lines.append, start(options))
    assert not any("before" in line for line in lines)
    expected, found = (load_checkpoint(path)[0].state_dict() for path in (fine_tuned[0], resumed))
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_all_later_stages_accept_it(
    fine_tuned: tuple[Path, list[str]], demo_images: list[Path], tmp_path: Path
) -> None:
    path, _ = fine_tuned
    network, card = load_checkpoint(path)
    bundle = build_bundle(BundlePlan(path, tmp_path / "bundle", engines=(), method="mse"), lambda line: None)
    manifest = bundle.manifest
    assert (manifest.fold.fp32, manifest.fold.fp64) == (0, 0)
    assert manifest.provenance.fine_tuned_from == card.fine_tuned_from is not None
    assert manifest.parameters == parameter_count(network)
    images = np.stack([load(path) for path in demo_images[:2]])
    with TorchRunner(card.arch, path) as runner:
        assert np.isfinite(runner.infer(images).logits).all()


def test_a_fine_tuned_checkpoint_can_be_fine_tuned_again(
    fine_tuned: tuple[Path, list[str]], breakhis_tree: Path
) -> None:
    path = fine_tuned[0]
    again = qat_start(Source(path, sha256_of(path)), breakhis_tree, lambda line: None)
    plain = again.plain(again.network).state_dict()
    assert all(torch.equal(tensor, plain[name]) for name, tensor in load_checkpoint(path)[0].state_dict().items())


def test_a_checkpoint_that_has_changed_is_refused(source: Source, breakhis_tree: Path) -> None:
    with pytest.raises(CheckpointError) as refusal:
        qat_start(replace(source, sha256="0" * 64), breakhis_tree, lambda line: None)
    assert "0" * 64 in refusal.value.expected


def test_another_data_set_is_refused(source: Source, breakhis_tree: Path, tmp_path: Path) -> None:
    image = next(breakhis_tree.rglob("*.png"))
    shutil.copy(image, tmp_path / "SOB_B_A-14-22549AB-100-099.png")
    with pytest.raises(DataError) as refusal:
        qat_start(source, tmp_path, lambda line: None)
    assert str(tmp_path) in refusal.value.found and "--data" in refusal.value.next_step
