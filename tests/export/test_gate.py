"""The gate runs the engine that was built and refuses one that lost too much."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest

from ssr_edge.bundle import Bundle, write_manifest
from ssr_edge.errors import GateRefused
from ssr_export.build import EngineRequest, build_engine
from ssr_export.calibrate import read_calibration
from ssr_export.gate import describe, gate
from ssr_export.quantize import quantize


@pytest.fixture
def wrong_bundle(demo_bundle: Bundle, tmp_path: Path) -> Bundle:
    """The demo's bundle with an INT8 engine whose ranges are twenty times too wide."""
    folder = tmp_path / "wrong"
    shutil.copytree(demo_bundle.path, folder)
    calibration = read_calibration(folder / "calibration.json")
    assert calibration is not None
    ranges = {tensor: 20 * largest for tensor, largest in calibration.ranges.items()}
    onnx.save(quantize(onnx.load(folder / "model.fp32.onnx"), ranges), folder / "model.int8.onnx")
    manifest = demo_bundle.manifest.model_copy(deep=True)
    manifest.engines = [build_engine(folder, EngineRequest("openvino", "int8"), print)]
    write_manifest(folder, manifest)
    return Bundle(folder, manifest)


def test_the_demos_int8_engine_passes_on_images_it_was_not_trained_on(
    demo_bundle: Bundle, demo_images: list[Path], calibration_images: list[Path]
) -> None:
    engine = demo_bundle.engine("openvino", "int8")
    assert engine is not None
    result = gate(demo_bundle, engine, demo_images + calibration_images, allow_drop=False)
    assert result.images == len(demo_images) + len(calibration_images)
    assert result.agreement >= 0.98
    assert result.macro_f1 is not None
    assert result.macro_f1_fp32 is not None
    assert abs(result.macro_f1 - result.macro_f1_fp32) <= 0.01


def test_wrong_ranges_are_refused_with_the_figures(wrong_bundle: Bundle, demo_images: list[Path]) -> None:
    with pytest.raises(GateRefused, match="lost too much") as refusal:
        gate(wrong_bundle, wrong_bundle.manifest.engines[0], demo_images, allow_drop=False)
    assert refusal.value.exit_code == 4
    assert f"of {len(demo_images)} labels agree" in refusal.value.found


def test_allow_drop_lets_it_through_and_says_so(wrong_bundle: Bundle, demo_images: list[Path]) -> None:
    result = gate(wrong_bundle, wrong_bundle.manifest.engines[0], demo_images, allow_drop=True)
    assert not result.passed
    assert result.allowed_drop


def test_without_labels_agreement_alone_is_judged(demo_bundle: Bundle, demo_images: list[Path], tmp_path: Path) -> None:
    unlabelled = [tmp_path / f"tile{number}.jpg" for number in range(4)]
    for path, image in zip(unlabelled, demo_images, strict=False):
        shutil.copyfile(image, path)
    engine = demo_bundle.engine("openvino", "fp32")
    assert engine is not None
    result = gate(demo_bundle, engine, unlabelled, allow_drop=False)
    assert not result.labelled
    assert result.macro_f1 is None
    assert result.agreement == 1.0
    assert "agreement alone" in describe(result)
