"""The gate runs the built engine and refuses one that lost too much accuracy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ssr_edge.breakhis.names import CLASSES, parse_name
from ssr_edge.bundle.bundle import Bundle, refused_place, write_manifest
from ssr_edge.bundle.manifest import GateResult
from ssr_edge.common.progress import Log
from ssr_edge.runners.base import Outputs
from ssr_export.engines.build import EngineRequest, build_engine
from ssr_export.engines.gate import (
    HeldOut,
    allowed,
    describe,
    evaluate_engine,
    evaluate_outputs,
    read_held_out,
    refusal,
)
from ssr_export.int8.calibrate import read_calibration
from ssr_export.int8.quantize import quantize

pytestmark = pytest.mark.slow


def widen(ranges: dict[str, float]) -> dict[str, float]:
    return {tensor: 20 * largest for tensor, largest in ranges.items()}


@pytest.fixture
def wrong_bundle(demo_bundle: Bundle, tmp_path: Path) -> Bundle:
    """The demo's bundle with an INT8 engine whose ranges are twenty times too wide."""
    folder = tmp_path / "wrong"
    shutil.copytree(demo_bundle.path, folder)
    calibration = read_calibration(folder / "calibration.json")
    assert calibration is not None
    model = quantize(onnx.load(folder / "model.fp32.onnx"), widen(calibration.ranges))
    onnx.save(model, folder / "model.int8.onnx")
    manifest = demo_bundle.manifest.model_copy(deep=True)
    manifest.engines = [build_engine(folder, EngineRequest("openvino", "int8"), print)]
    write_manifest(folder, manifest)
    return Bundle(folder, manifest)


@pytest.fixture(scope="module")
def held_out(demo_bundle: Bundle, demo_images: list[Path]) -> HeldOut:
    return read_held_out(demo_bundle, demo_images)


def outputs(labels: np.ndarray) -> Outputs:
    logits = np.eye(len(CLASSES), dtype=np.float32)[labels]
    return Outputs(logits, logits)


def evaluated(images: int, flipped: list[int], patients: int) -> GateResult:
    """The result of an engine whose labels differ from those of a perfect FP32 model for the images in `flipped`."""
    truth = np.arange(images) % len(CLASSES)
    found = truth.copy()
    found[flipped] = (found[flipped] + 1) % len(CLASSES)
    names = [str(number % patients) for number in range(images)]
    return evaluate_outputs(outputs(found), HeldOut(np.zeros((images, 1), np.uint8), truth, names, outputs(truth)))


def test_the_demos_int8_engine_passes_on_images_it_was_not_trained_on(
    demo_bundle: Bundle, demo_images: list[Path], calibration_images: list[Path]
) -> None:
    engine = demo_bundle.engine("openvino", "int8")
    assert engine is not None
    result = evaluate_engine(demo_bundle, engine, read_held_out(demo_bundle, demo_images + calibration_images))
    assert result.passed
    assert result.images == len(demo_images) + len(calibration_images)
    assert result.patients == len({name.patient for p in demo_images + calibration_images if (name := parse_name(p))})
    assert result.agreement >= 0.95
    assert set(result.drops) == {"macro_f1", "balanced_accuracy", "malignant_sensitivity"}


def test_wrong_ranges_are_refused_with_the_figures(wrong_bundle: Bundle, held_out: HeldOut) -> None:
    engine = wrong_bundle.manifest.engines[0]
    result = evaluate_engine(wrong_bundle, engine, held_out)
    assert not result.passed
    assert result.agreement < 0.9
    error = refusal(engine, result)
    assert error.exit_code == 4
    assert f"{result.agreement:.1%}" in error.found
    assert f"{len(held_out.images)} images of {result.patients} patients" in error.found


def test_one_flipped_label_of_a_small_class_is_not_taken_for_a_loss() -> None:
    # Macro-F1 drops by six times its limit and agreement falls below its own, but one image can be chance.
    result = evaluated(22, [3], 22)
    assert result.passed
    assert result.macro_f1 is not None
    assert result.macro_f1 < 1 - 0.04
    assert len(result.unsure) >= 2
    assert all(reason in describe(result) for reason in result.unsure)


def test_the_same_share_of_flipped_labels_on_many_images_is_a_loss() -> None:
    assert not evaluated(440, list(range(0, 440, 22)), 440).passed


def test_flips_of_one_patient_are_less_sure_than_as_many_of_many() -> None:
    # Four of a hundred: all of patient 0, or each of another patient.
    of_one, of_many = evaluated(100, [0, 20, 40, 60], 20), evaluated(100, [0, 21, 42, 63], 20)
    assert of_one.agreement == of_many.agreement == 0.96
    assert of_one.passed
    assert not of_many.passed


def test_more_than_one_label_in_twenty_is_refused_however_few_images_there_are() -> None:
    assert not evaluated(22, [3, 4], 22).passed
    assert not evaluated(19, [3], 19).passed


def test_a_loss_within_the_limits_passes_on_enough_images() -> None:
    result = evaluated(800, list(range(0, 800, 160)), 80)
    assert result.passed
    assert result.unsure == []


def test_logits_that_are_not_finite_are_refused_though_the_labels_agree(held_out: HeldOut) -> None:
    logits = held_out.expected.logits.copy()
    logits[0, logits[0].argmin()] = -np.inf
    result = evaluate_outputs(Outputs(logits, held_out.expected.probabilities), held_out)
    assert result.agreement == 1.0
    assert not result.passed


def test_allow_drop_ships_it_and_records_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "dr-gray")
    result = allowed(evaluated(22, [1, 2, 3], 22))
    assert not result.passed
    assert result.allowed_drop
    assert result.allowed_by == "dr-gray"


def test_without_labels_only_agreement_is_evaluated(
    demo_bundle: Bundle, demo_images: list[Path], tmp_path: Path
) -> None:
    unlabeled = [tmp_path / f"tile{number}.jpg" for number in range(4)]
    for path, image in zip(unlabeled, demo_images, strict=False):
        shutil.copyfile(image, path)
    engine = demo_bundle.engine("openvino", "fp32")
    assert engine is not None
    result = evaluate_engine(demo_bundle, engine, read_held_out(demo_bundle, unlabeled))
    assert not result.labeled
    assert result.drops == {}
    assert result.patients is None
    assert result.agreement == 1.0
    # Four images that agree prove little: 0.025 ** (1 / 4).
    assert result.agreement_interval is not None
    low, high = result.agreement_interval
    assert low == pytest.approx(0.398, abs=1e-3) and high == 1.0
    assert "no labels" in describe(result)


def test_the_command_refuses_wrong_ranges_and_keeps_the_previous_bundle(
    demo_bundle: Bundle,
    demo_images: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ssr_edge: Callable[..., Any],
) -> None:
    place = tmp_path / "bundle"
    shutil.copytree(demo_bundle.path, place)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}

    def build_wrong(folder: Path, request: EngineRequest, log: Log) -> object:
        calibration = read_calibration(folder / "calibration.json")
        assert calibration is not None
        wrong = quantize(onnx.load(folder / "model.fp32.onnx"), widen(calibration.ranges))
        onnx.save(wrong, folder / "model.int8.onnx")
        return build_engine(folder, request, log)

    monkeypatch.setattr("ssr_export.engines.bundle_builder.build_engine", build_wrong)
    held = demo_images[0].parent
    asked = ("--precision", "int8", "--float-blocks", "none", "--held-out", held)
    answer = ssr_edge("build-engine", place, *asked)
    assert answer.code == 4
    assert "openvino int8" in answer.err.splitlines()[0]
    assert str(refused_place(place)) in answer.err
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "bundle.refused"]
    aside = Bundle.open(refused_place(place))
    assert aside.manifest.refused is not None
    assert "openvino int8" in aside.manifest.refused
    engine = aside.engine("openvino", "int8")
    assert engine is not None
    assert engine.gate is not None
    assert not engine.gate.passed

    # With a new target: nothing is written there, and an older refused bundle is replaced.
    fresh = tmp_path / "fresh"
    for _ in range(2):
        assert ssr_edge("build-engine", place, "--bundle", fresh, *asked).code == 4
        assert not fresh.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "bundle.refused", "fresh.refused"]
