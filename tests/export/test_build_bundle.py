"""The export stage from top to bottom: what a bundle contains, and that a failure leaves the old one unchanged."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import BuildError, DataError, UsageError
from ssr_edge.common.files import sha256_of
from ssr_edge.images.preprocess import load
from ssr_edge.runners.choose import open_runner
from ssr_export.build_bundle import build_bundle
from ssr_export.engines.build import EngineRequest
from ssr_export.engines.tensorrt_builder import TensorRtOptions
from ssr_export.plan import BundlePlan, Int8Corrections

pytestmark = pytest.mark.slow


def test_a_bundle_contains_all_its_parts(demo_bundle: Bundle) -> None:
    manifest = demo_bundle.manifest
    assert {"model.fp32.onnx", "model.fp16.onnx", "model.int8.onnx", "calibration.json", "histograms.json"} <= {
        f.path for f in manifest.files
    }
    assert {(e.runtime, e.precision) for e in manifest.engines} == {("openvino", "int8"), ("openvino", "fp32")}
    for engine in manifest.engines:
        assert (demo_bundle.path / engine.file).with_suffix(".json").is_file()
        assert engine.gate is not None
        assert engine.gate.passed
    assert manifest.fold.fp32 <= 1e-5
    assert manifest.fold.fp64 <= 1e-12
    assert manifest.onnx_parity.relative_error <= 1e-5
    assert manifest.calibration is not None
    assert len(manifest.calibration.images) == 21
    assert manifest.quantization is not None
    assert manifest.quantization.images == 16
    assert len(manifest.quantization.blocks) == 11
    on_disk = {p.relative_to(demo_bundle.path).as_posix() for p in demo_bundle.path.rglob("*") if p.is_file()}
    assert on_disk == {file.path for file in manifest.files} | {"manifest.json"}
    assert all(sha256_of(demo_bundle.path / file.path) == file.sha256 for file in manifest.files)


def test_int8_labels_agree_between_onnx_runtime_and_openvino(
    demo_bundle: Bundle,
    demo_images: list[Path],
    calibration_images: list[Path],
    record_property: Callable[[str, object], None],
) -> None:
    images = np.stack([load(path) for path in demo_images + calibration_images])
    with open_runner(demo_bundle, "openvino", "int8") as runner:
        openvino = runner.infer(images)
    with open_runner(demo_bundle, "onnxruntime", "int8") as runner:
        check = runner.infer(images)
    difference = float(np.abs(openvino.probabilities - check.probabilities).max())
    record_property("max_probability_difference", difference)
    assert np.array_equal(openvino.logits.argmax(1), check.logits.argmax(1))
    assert difference <= 0.05


def test_a_bundle_takes_more_engines_without_the_checkpoint(demo_bundle: Bundle, tmp_path: Path) -> None:
    target = tmp_path / "more"
    options = TensorRtOptions(targets=("sm_89",))
    plan = BundlePlan(demo_bundle.path, target, (EngineRequest("tensorrt-rtx", "int8", options),), "percentile")
    made = build_bundle(plan, print)
    assert {(e.runtime, e.precision) for e in made.manifest.engines} == {
        ("openvino", "int8"), ("openvino", "fp32"), ("tensorrt-rtx", "int8"),
    }  # fmt: skip
    assert made.manifest.provenance == demo_bundle.manifest.provenance


def test_a_failed_build_leaves_the_old_bundle_untouched(demo_bundle: Bundle, tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    build_bundle(BundlePlan(demo_bundle.path, target, (), "percentile"), print)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    options = TensorRtOptions(targets=("sm_1",))
    with pytest.raises(BuildError):
        build_bundle(BundlePlan(target, target, (EngineRequest("tensorrt-rtx", "fp16", options),), "percentile"), print)
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_building_again_takes_the_ranges_from_the_cache(
    tiny_bundle: Bundle, tiny_checkpoint: Path, calibration_images: list[Path], tmp_path: Path
) -> None:
    plan = BundlePlan(tiny_checkpoint, tmp_path / "b", (), "percentile", images=calibration_images[0].parent)
    shutil.copytree(tiny_bundle.path, plan.bundle)  # built from the same checkpoint and images
    cache = with_ranges_of_seven(plan.bundle / "calibration.json")
    build_bundle(plan, print)
    assert set(json.loads(cache.read_text())["ranges"].values()) == {7.0}


def test_a_given_cache_is_used_for_another_bundle(
    tiny_bundle: Bundle, tiny_checkpoint: Path, calibration_images: list[Path], tmp_path: Path
) -> None:
    shutil.copyfile(tiny_bundle.file("calibration.json"), tmp_path / "ranges.json")
    cache, folder = with_ranges_of_seven(tmp_path / "ranges.json"), calibration_images[0].parent
    plan = BundlePlan(tiny_checkpoint, tmp_path / "b", (), "percentile", images=folder, cache=cache)
    made = build_bundle(plan, print)
    assert set(json.loads((made.path / "calibration.json").read_text())["ranges"].values()) == {7.0}


def with_ranges_of_seven(cache: Path) -> Path:
    """Replaces every range in the cache by one that no calibration finds."""
    fields = json.loads(cache.read_text())
    fields["ranges"] = dict.fromkeys(fields["ranges"], 7.0)
    cache.write_text(json.dumps(fields))
    return cache


@pytest.mark.parametrize("content", ["my notes", '{"ranges": {}}', ""])
def test_a_file_that_is_no_range_cache_is_not_overwritten(
    tiny_checkpoint: Path, calibration_images: list[Path], tmp_path: Path, content: str
) -> None:
    cache = tmp_path / "notes.txt"
    cache.write_text(content)
    folder = calibration_images[0].parent
    with pytest.raises(UsageError, match=re.escape(str(cache))):
        build_bundle(BundlePlan(tiny_checkpoint, tmp_path / "b", (), "mse", images=folder, cache=cache), print)
    assert cache.read_text() == content
    nowhere = BundlePlan(tiny_checkpoint, tmp_path / "b", (), "mse", images=folder, cache=tmp_path / "no" / "r.json")
    with pytest.raises(UsageError, match=re.escape(str(nowhere.cache))):
        build_bundle(nowhere, print)
    assert not (tmp_path / "b").exists()


def test_corrections_are_recorded_and_change_the_results_of_int8_only(
    tiny_checkpoint: Path, calibration_images: list[Path], tiny_bundle: Bundle, tmp_path: Path
) -> None:
    folder, corrections = calibration_images[0].parent, Int8Corrections(equalize=True, correct_bias=False)
    cache = tmp_path / "ranges.json"
    plan = BundlePlan(
        tiny_checkpoint, tmp_path / "b", (), "percentile", images=folder, corrections=corrections, cache=cache
    )
    made = build_bundle(plan, print)
    assert cache.read_bytes() == (made.path / "calibration.json").read_bytes()
    plain, calibration = tiny_bundle.manifest.calibration, made.manifest.calibration
    assert plain is not None and calibration is not None
    assert (plain.equalized, plain.bias_corrected) == (False, True)
    assert (calibration.equalized, calibration.bias_corrected) == (True, False)
    # The range cache is keyed by the FP32 file, which equalization rewrites, so it can't be used for the other bundle.
    assert sha256_of(made.path / "model.fp32.onnx") != sha256_of(tiny_bundle.path / "model.fp32.onnx")
    images = np.stack([load(path) for path in calibration_images[:4]])
    logits = {}
    for bundle in (tiny_bundle, made):
        for precision in ("fp32", "int8"):
            with open_runner(bundle, "onnxruntime", precision) as runner:
                logits[bundle is made, precision] = runner.infer(images).logits
    largest = np.abs(logits[False, "fp32"]).max()
    assert np.abs(logits[True, "fp32"] - logits[False, "fp32"]).max() <= 1e-4 * largest
    assert np.abs(logits[True, "int8"] - logits[False, "int8"]).max() > 1e-4 * largest


def test_a_checkpoint_whose_images_are_not_here_asks_for_a_folder(demo_checkpoint: Path, tmp_path: Path) -> None:
    alone = tmp_path / "weights.safetensors"
    alone.write_bytes(demo_checkpoint.read_bytes())
    with pytest.raises(DataError) as missing:
        build_bundle(BundlePlan(alone, tmp_path / "b", (), "percentile"), print)
    assert "--calibration-images" in missing.value.next_step
    assert not (tmp_path / "b").exists()
