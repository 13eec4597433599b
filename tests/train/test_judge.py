from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssr_edge.bundle import Bundle
from ssr_edge.errors import BundleError, DataError
from ssr_edge.preprocess import IMAGE_SIZE
from ssr_train.breakhis import contradictory_twins, read
from ssr_train.checkpoint import load_checkpoint
from ssr_train.dataset import load_images
from ssr_train.evaluate import evaluate_images
from ssr_train.judge import judge_bundle, judge_checkpoint


def test_a_checkpoint_is_judged_on_its_own_test_images(tiny_checkpoint: Path, breakhis_tree: Path) -> None:
    network, card = load_checkpoint(tiny_checkpoint)
    images = load_images(card.to_split().select(read(breakhis_tree), "test"), IMAGE_SIZE)
    name, metrics = judge_checkpoint(tiny_checkpoint, None, "test")
    assert name == str(tiny_checkpoint)
    assert metrics.images == 15
    assert metrics == evaluate_images(network, images, torch.device("cpu"), None)[0]


def test_a_bundles_engine_agrees_with_its_checkpoint(tiny_bundle: Bundle, tiny_checkpoint: Path) -> None:
    _, expected = judge_checkpoint(tiny_checkpoint, None, "val")
    for runtime in ("openvino", "onnxruntime"):
        name, metrics = judge_bundle(tiny_bundle, None, "val", runtime, "fp32")
        assert name == f"{tiny_bundle.path} {runtime}-fp32"
        assert metrics == expected


def test_all_means_every_image_but_the_twins(tiny_bundle: Bundle, breakhis_tree: Path) -> None:
    name, metrics = judge_bundle(tiny_bundle, breakhis_tree, "all", "openvino", None)
    assert name.endswith("openvino-int8")
    assert metrics.images == len(contradictory_twins(read(breakhis_tree))[0]) == 80


def test_other_images_hold_none_of_the_part(tiny_checkpoint: Path, demo_images: list[Path], tmp_path: Path) -> None:
    (stranger,) = [path for path in demo_images if path.stem == "SOB_M_MC-14-13413-100-017"]
    shutil.copy(stranger, tmp_path)
    with pytest.raises(DataError, match="none of the checkpoint's test images") as error:
        judge_checkpoint(tiny_checkpoint, tmp_path, "test")
    assert "--part all" in error.value.next_step


def test_images_that_do_not_open_are_refused_together(
    tiny_checkpoint: Path, breakhis_tree: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "BreaKHis_v1"
    shutil.copytree(breakhis_tree, tree)
    for path in tree.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 15 test images in .* can be read: .*the file is empty"):
        judge_checkpoint(tiny_checkpoint, tree, "test")


def test_a_bundle_without_its_checkpoint_says_what_to_do(tiny_bundle: Bundle, tmp_path: Path) -> None:
    manifest = tiny_bundle.manifest.model_copy(deep=True)
    manifest.provenance.checkpoint = str(tmp_path / "gone.safetensors")
    with pytest.raises(DataError, match=r"gone\.safetensors, .* is not here") as error:
        judge_bundle(replace(tiny_bundle, manifest=manifest), None, "test", "openvino", None)
    assert error.value.next_step.startswith("ssr-edge bench FOLDER")


def test_a_precision_that_the_bundle_lacks_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="has no int4 model"):
        judge_bundle(tiny_bundle, None, "test", "openvino", "int4")
