"""The OpenVINO runner compared with ONNX Runtime on real images, and the files that it loads."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest

from ssr_edge.bundle.bundle import Bundle, write_manifest
from ssr_edge.bundle.manifest import EngineEntry
from ssr_edge.common.errors import BundleError, RuntimeUnavailable
from ssr_edge.images.preprocess import Image, load
from ssr_edge.runners.choose import open_runner


@pytest.fixture(scope="module")
def images(demo_images: list[Path]) -> Image:
    """uint8 [22, 224, 224, 3], BGR."""
    return np.stack([load(path) for path in demo_images])


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A copy that may be changed."""
    shutil.copytree(tiny_bundle.path, tmp_path / "copy")
    return Bundle.open(tmp_path / "copy")


def engine_of(bundle: Bundle, precision: str) -> EngineEntry:
    entry = bundle.engine("openvino", precision)
    assert entry is not None
    return entry


def test_fp32_logits_are_onnxruntimes_to_the_last_digits(tiny_bundle: Bundle, images: Image) -> None:
    # Also for the engine loaded from its file: in BF16, the default on some CPUs, errors are a thousand times larger.
    with open_runner(tiny_bundle, "onnxruntime", "fp32") as runner:
        expected = runner.infer(images)
    with open_runner(tiny_bundle, "openvino", "fp32") as runner:
        found = runner.infer(images)
    assert found.logits.shape == (22, 8)
    assert {found.logits.dtype, found.probabilities.dtype} == {np.dtype(np.float32)}
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5 * np.abs(expected.logits).max())
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-6)


def test_int8_logits_are_onnxruntimes_within_a_few_steps(tiny_bundle: Bundle, images: Image) -> None:
    with open_runner(tiny_bundle, "onnxruntime", "int8") as runner:
        expected = runner.infer(images).logits
    with open_runner(tiny_bundle, "openvino", "int8") as runner:
        found = runner.infer(images).logits
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
    assert np.abs(found - expected).max() > 0


@pytest.mark.parametrize(("precision", "share"), [("fp32", 1e-5), ("int8", 0.03)])
def test_an_engine_for_one_image_a_call_computes_the_same(
    tiny_bundle: Bundle, images: Image, precision: str, share: float
) -> None:
    with open_runner(tiny_bundle, "openvino", precision) as runner:
        expected = runner.infer(images).logits
    with open_runner(tiny_bundle, "openvino", precision, single=True) as runner:
        assert runner.max_batch == 1
        assert runner.origin == f"compiled from model.{precision}.onnx for one image per call"
        found = np.concatenate([runner.infer(image[None]).logits for image in images])
    assert np.abs(found - expected).max() <= share * np.abs(expected).max()


def test_other_runtimes_have_no_such_engine(tiny_bundle: Bundle) -> None:
    with open_runner(tiny_bundle, "onnxruntime", "fp32", single=True) as runner:
        assert runner.max_batch > 1


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_engine_from_its_file_computes_what_the_compiled_model_computes(
    bundle: Bundle, images: Image, precision: str
) -> None:
    with open_runner(bundle, "openvino", precision) as runner:
        assert runner.origin == engine_of(bundle, precision).file
        loaded = runner.infer(images).logits
    bundle.manifest.engines.clear()
    with open_runner(bundle, "openvino", precision) as runner:
        assert runner.origin == f"compiled from model.{precision}.onnx"
        np.testing.assert_array_equal(runner.infer(images).logits, loaded)


def test_a_runner_says_what_it_is(tiny_bundle: Bundle) -> None:
    with open_runner(tiny_bundle, "openvino", "int8", slots=2) as runner:
        assert (runner.name, runner.slots, runner.max_batch) == ("openvino-int8", 2, 64)
        assert runner.version == openvino.__version__.split("-")[0]
        assert runner.device.startswith(engine_of(tiny_bundle, "int8").device)


@pytest.mark.parametrize("field", ["version", "device"])
def test_an_engine_of_another_version_or_cpu_is_not_even_opened(bundle: Bundle, images: Image, field: str) -> None:
    entry = engine_of(bundle, "int8")
    (bundle.path / entry.file).write_bytes(b"what another OpenVINO wrote")
    setattr(entry, field, "another")
    write_manifest(bundle.path, bundle.manifest)
    with open_runner(Bundle.open(bundle.path), "openvino", "int8") as runner:
        assert runner.origin == "compiled from model.int8.onnx"
        assert runner.infer(images[:1]).logits.shape == (1, 8)


def test_a_changed_engine_is_refused_and_not_replaced_quietly(bundle: Bundle) -> None:
    with (bundle.path / engine_of(bundle, "int8").file).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleError) as refused:
        open_runner(bundle, "openvino", "int8")
    assert ".blob" in refused.value.found


def test_a_changed_model_is_refused(bundle: Bundle) -> None:
    bundle.manifest.engines.clear()
    file = bundle.path / "model.fp32.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BundleError) as refused:
        open_runner(bundle, "openvino", "fp32")
    assert "model.fp32.onnx" in refused.value.found


@pytest.mark.parametrize("count", [1, 5, 22, 64])
def test_any_batch_up_to_the_largest(tiny_bundle: Bundle, images: Image, count: int) -> None:
    with open_runner(tiny_bundle, "openvino", "fp32") as runner:
        alone = runner.infer(images[:1]).logits[0]
        batch = np.concatenate([images[:1]] * count)
        np.testing.assert_allclose(runner.infer(batch).logits, np.stack([alone] * count), atol=1e-6)


def test_two_calls_under_way_keep_their_results_apart(tiny_bundle: Bundle, images: Image) -> None:
    with open_runner(tiny_bundle, "openvino", "fp32", slots=2) as runner:
        expected = runner.infer(images).logits
        for _ in range(3):
            first, second = runner.submit(images[:4]), runner.submit(images[4:6])
            later = runner.collect(second).logits
            np.testing.assert_allclose(runner.collect(first).logits, expected[:4], atol=1e-6)
            np.testing.assert_allclose(later, expected[4:6], atol=1e-6)


def test_results_belong_to_the_caller(tiny_bundle: Bundle, images: Image) -> None:
    with open_runner(tiny_bundle, "openvino", "fp32") as runner:
        first = runner.infer(images[:2])
        before = first.logits.copy()
        runner.infer(images[2:4])
    np.testing.assert_array_equal(first.logits, before)


def test_without_openvino_the_package_is_named(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(RuntimeUnavailable, match="OpenVINO") as error:
        open_runner(tiny_bundle, "openvino", "int8")
    assert error.value.next_step == "pip install openvino"
