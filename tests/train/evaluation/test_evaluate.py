from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import BundleError, DataError, UsageError
from ssr_edge.images.preprocess import IMAGE_SIZE
from ssr_train.data.breakhis import contradictory_twins, read
from ssr_train.data.dataset import load_images, normalize, to_rgb
from ssr_train.evaluation.evaluate import evaluate_bundle, evaluate_checkpoint
from ssr_train.evaluation.predict import evaluate_images
from ssr_train.training.checkpoint import load_checkpoint


def test_a_checkpoint_is_evaluated_on_its_own_test_images(tiny_checkpoint: Path, breakhis_tree: Path) -> None:
    network, card = load_checkpoint(tiny_checkpoint)
    images = load_images(card.to_split().select(read(breakhis_tree), "test"), IMAGE_SIZE)
    evaluation = evaluate_checkpoint(tiny_checkpoint, None, "test")
    assert evaluation.name == str(tiny_checkpoint)
    assert evaluation.metrics.images == 15
    assert evaluation.metrics == evaluate_images(network, images, torch.device("cpu"), None)[0]
    assert len(evaluation.patients) == 15 and set(evaluation.patients) <= {record.patient for record in images.records}


def test_a_bundles_engine_agrees_with_its_checkpoint(tiny_bundle: Bundle, tiny_checkpoint: Path) -> None:
    expected = evaluate_checkpoint(tiny_checkpoint, None, "val")
    for runtime in ("openvino", "onnxruntime"):
        evaluation = evaluate_bundle(tiny_bundle, None, "val", runtime, "fp32")
        assert evaluation.name == f"{tiny_bundle.path} {runtime}-fp32"
        assert evaluation.metrics == expected.metrics
        np.testing.assert_allclose(evaluation.probabilities, expected.probabilities, atol=1e-5)


@pytest.mark.slow
def test_tta_is_the_mean_of_eight_views_for_a_checkpoint_and_for_an_engine(
    tiny_bundle: Bundle, tiny_checkpoint: Path
) -> None:
    plain, views = (evaluate_checkpoint(tiny_checkpoint, None, "val", tta=tta) for tta in (False, True))
    network, _ = load_checkpoint(tiny_checkpoint)
    with torch.inference_mode():
        rgb = to_rgb(plain.images.pixels)
        turned = [torch.rot90(flip, k, (2, 3)) for flip in (rgb, rgb.flip(3)) for k in range(4)]
        expected = torch.stack([torch.softmax(network(normalize(view)), 1) for view in turned]).mean(0).numpy()
    np.testing.assert_allclose(views.probabilities, expected, atol=1e-6)
    assert np.abs(views.probabilities - plain.probabilities).max() > 3e-4
    engine = evaluate_bundle(tiny_bundle, None, "val", "openvino", "fp32", tta=True)
    np.testing.assert_allclose(engine.probabilities, expected, atol=1e-5)


def test_a_bundle_without_maps_is_refused_with_the_command_to_build_one(tiny_bundle: Bundle) -> None:
    with pytest.raises(UsageError) as error:
        evaluate_bundle(tiny_bundle, None, "val", "openvino", "fp32", cam=True)
    assert str(tiny_bundle.path) in error.value.found
    assert "--cam" in error.value.next_step


def test_all_means_every_image_but_the_twins(tiny_bundle: Bundle, breakhis_tree: Path) -> None:
    evaluation = evaluate_bundle(tiny_bundle, breakhis_tree, "all", "openvino", None)
    assert evaluation.name.endswith("openvino-int8")
    assert evaluation.metrics.images == len(contradictory_twins(read(breakhis_tree))[0]) == 80


def test_other_images_hold_none_of_the_part(tiny_checkpoint: Path, demo_images: list[Path], tmp_path: Path) -> None:
    (stranger,) = [path for path in demo_images if path.stem == "SOB_M_MC-14-13413-100-017"]
    shutil.copy(stranger, tmp_path)
    with pytest.raises(DataError) as error:
        evaluate_checkpoint(tiny_checkpoint, tmp_path, "test")
    assert f"{tmp_path} contains none of the test images" in error.value.found
    assert "--part all" in error.value.next_step


def test_images_that_do_not_open_are_refused_together(
    tiny_checkpoint: Path, breakhis_tree: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "BreaKHis_v1"
    shutil.copytree(breakhis_tree, tree)
    for path in tree.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError) as raised:
        evaluate_checkpoint(tiny_checkpoint, tree, "test")
    assert "none of the 15 test images" in raised.value.found and "the file is empty" in raised.value.found


def test_a_bundle_without_its_checkpoint_is_refused_with_an_alternative(tiny_bundle: Bundle, tmp_path: Path) -> None:
    manifest = tiny_bundle.manifest.model_copy(deep=True)
    manifest.provenance.checkpoint = str(tmp_path / "gone.safetensors")
    with pytest.raises(DataError) as error:
        evaluate_bundle(replace(tiny_bundle, manifest=manifest), None, "test", "openvino", None)
    assert "gone.safetensors" in error.value.found
    assert error.value.next_step.startswith("ssr-edge bench FOLDER")


def test_a_precision_that_the_bundle_lacks_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(BundleError) as raised:
        evaluate_bundle(tiny_bundle, None, "test", "openvino", "int4")
    assert "int4" in raised.value.found
