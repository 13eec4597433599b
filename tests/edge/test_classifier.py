"""The Python API on real engines: one image, streams, what is refused, and that the command line gives the same."""

from __future__ import annotations

import csv
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import ssr_edge as package
from ssr_edge import Bundle, Classifier, Failure, Prediction, SsrEdgeError
from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import BundleError, InputError, UsageError
from ssr_edge.images.preprocess import decode, load
from ssr_edge.runners.choose import open_runner


@pytest.fixture(scope="module")
def expected(tiny_bundle: Bundle, demo_images: list[Path]) -> dict[str, np.ndarray]:
    """Probabilities by path, one image per call of ONNX Runtime on the FP32 model."""
    with open_runner(tiny_bundle, "onnxruntime", "fp32") as runner:
        return {str(path): runner.infer(load(path)[None]).probabilities[0] for path in demo_images}


def test_one_image_has_the_engines_probabilities(
    tiny_bundle: Bundle, demo_images: list[Path], expected: dict[str, np.ndarray]
) -> None:
    with Classifier(tiny_bundle.path, runtime="openvino", precision="fp32") as classify:
        for path in demo_images[:3]:
            found = classify(decode(path))
            np.testing.assert_allclose(found.probabilities, expected[str(path)], atol=1e-5)
            best = int(expected[str(path)].argmax())
            assert (found.label, found.confidence) == (CLASSES[best], float(found.probabilities[best]))
            assert (found.source, found.frame, found.image) == ("", 0, None)
            assert 0 < found.latency_ms < 60_000
        assert classify.runner.name == "openvino-fp32"
        assert classify.why == "asked for" and classify.magnification == 100


def test_rgb_is_bgr_with_its_channels_swapped(tiny_bundle: Bundle, demo_images: list[Path]) -> None:
    image = decode(demo_images[0])
    with Classifier(tiny_bundle, precision="fp32") as classify:
        bgr, rgb = classify(image), classify(np.ascontiguousarray(image[..., ::-1]), colors="rgb")
        swapped = classify(image, colors="rgb")
    np.testing.assert_array_equal(bgr.probabilities, rgb.probabilities)
    assert np.abs(bgr.probabilities - swapped.probabilities).max() > 1e-4


def test_a_view_of_a_larger_image_is_classified_as_its_copy(tiny_bundle: Bundle, demo_images: list[Path]) -> None:
    image = decode(demo_images[1])
    view = image[10:400:2, ::-1]
    with Classifier(tiny_bundle, precision="fp32") as classify:
        np.testing.assert_array_equal(classify(view).probabilities, classify(view.copy()).probabilities)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((5, 5, 3), np.float32), "float32 [5, 5, 3]"),
        (np.zeros((5, 5), np.uint8), "uint8 [5, 5]"),
        (np.zeros((5, 5, 4), np.uint8), "uint8 [5, 5, 4]"),
        (np.zeros((0, 5, 3), np.uint8), "uint8 [0, 5, 3]"),
        ("image.png", "str"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_image_is_refused(tiny_bundle: Bundle, image: Any, found: str) -> None:
    with Classifier(tiny_bundle, precision="fp32") as classify:
        with pytest.raises(InputError) as error:
            classify(image)
        assert found in error.value.found and "uint8 [height, width, 3]" in error.value.expected
        assert isinstance(classify(np.full((9, 9, 3), 200, np.uint8)), Prediction)  # the engine is still usable


def test_an_engine_that_is_not_loaded_is_refused(tiny_bundle: Bundle) -> None:
    classify = Classifier(tiny_bundle)
    with pytest.raises(UsageError) as error:
        classify(np.zeros((5, 5, 3), np.uint8))
    assert "with Classifier(" in error.value.next_step
    with classify:
        assert classify.runner.slots == 2
    with pytest.raises(UsageError):
        classify.stream(".")
    with classify:  # and can be entered again
        assert classify(np.zeros((5, 5, 3), np.uint8)).flags


def test_a_stream_keeps_order_and_yields_failures(
    tiny_bundle: Bundle, demo_images: list[Path], expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    for path in demo_images[:5]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "AAA.png").write_text("no image")
    with Classifier(tiny_bundle, precision="fp32", threads=1) as classify:
        assert classify.runner.threads == 1
        results = list(classify.stream(tmp_path, batch=2))
    assert [Path(result.source).name for result in results] == [
        "AAA.png",
        *(path.name for path in demo_images[:5]),
    ]
    assert results[0] == Failure(str(tmp_path / "AAA.png"), "the content is damaged or not an image")
    for path, result in zip(demo_images, results[1:], strict=False):
        assert isinstance(result, Prediction) and result.image is None
        np.testing.assert_allclose(result.probabilities, expected[str(path)], atol=1e-5)


def test_images_are_kept_and_annotated_on_request(tiny_bundle: Bundle, demo_images: list[Path]) -> None:
    seen: list[tuple[str, float | None]] = []
    with Classifier(tiny_bundle, precision="fp32") as classify:
        (kept,) = classify.stream(demo_images[0], keep_images=True)
        (annotated,) = classify.stream(str(demo_images[1]), annotate=lambda p, fps: seen.append((p.source, fps)))
    assert isinstance(kept, Prediction) and isinstance(annotated, Prediction)
    np.testing.assert_array_equal(kept.image, decode(demo_images[0]))
    assert seen == [(str(demo_images[1]), None)] and annotated.image is not None


def test_a_stream_can_be_left_early_and_started_again(tiny_bundle: Bundle, demo_images: list[Path]) -> None:
    with Classifier(tiny_bundle, precision="fp32") as classify:
        stream = classify.stream(demo_images[0].parent, batch=2)
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert len(list(classify.stream(demo_images[0].parent, batch=4))) == len(demo_images)
    assert not [thread for thread in threading.enumerate() if thread.name == "source"]


def test_frames_of_a_video_have_their_number_and_time(tiny_bundle: Bundle, video: Path) -> None:
    with Classifier(tiny_bundle, precision="fp32") as classify:
        results = [r for r in classify.stream(video, every=4) if isinstance(r, Prediction)]
    assert [result.frame for result in results] == [0, 4, 8]
    assert [result.seconds for result in results] == pytest.approx([0, 0.2, 0.4], abs=0.01)


def test_a_camera_is_live_and_logged(tiny_bundle: Bundle, camera: Any) -> None:
    lines: list[str] = []
    with Classifier(tiny_bundle, precision="fp32").load(single=True) as classify:
        stream = classify.stream(camera.url, log=lines.append)
        results = [next(stream) for _ in range(3)]
        stream.close()  # type: ignore[attr-defined]
    assert all(isinstance(result, Prediction) and result.seconds for result in results)
    assert len(lines) == 1 and lines[0].startswith("live, whole run: ")


def test_the_newest_bundle_is_the_default(tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError):
        Classifier()
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "tiny").symlink_to(tiny_bundle.path)
    assert Classifier().bundle == replace(tiny_bundle, path=Path("bundles/tiny"))


def test_the_command_line_gives_the_same(
    ssr_edge: Callable[..., Any], tiny_bundle: Bundle, demo_images: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "p.csv"
    ssr_edge("infer", demo_images[0].parent, "--bundle", tiny_bundle.path, "--precision", "int8", "-o", output)
    with output.open(newline="") as file:
        rows = [(row["source"], row["label"], float(row["confidence"])) for row in csv.DictReader(file)]
    with Classifier(tiny_bundle, precision="int8") as classify:
        results = [r for r in classify.stream(demo_images[0].parent) if isinstance(r, Prediction)]
    assert [row[:2] for row in rows] == [(r.source, r.label) for r in results]
    assert [row[2] for row in rows] == pytest.approx([r.confidence for r in results], abs=2e-6)


def test_public_names_are_lazy_and_listed() -> None:
    assert set(package.__all__) <= set(dir(package))
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert issubclass(BundleError, SsrEdgeError)
    with pytest.raises(AttributeError, match="Classifyer"):
        _ = package.Classifyer


EXAMPLES = Path(__file__).parents[2] / "examples"


def test_examples_are_short() -> None:
    assert {path.name: len(path.read_text().splitlines()) < 30 for path in EXAMPLES.glob("*.py")} == dict.fromkeys(
        ["camera.py", "folder_to_table.py", "one_image.py"], True
    )


def run_example(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_example_of_one_image(tiny_bundle: Bundle, demo_images: list[Path]) -> None:
    done = run_example("one_image.py", demo_images[0], tiny_bundle.path)
    with Classifier(tiny_bundle) as classify:
        found = classify(decode(demo_images[0]))
    assert done.stdout.split()[:2] == [found.label, f"{found.confidence:.2f}"], done.stderr


def test_the_example_of_a_camera(tiny_bundle: Bundle, video: Path) -> None:
    done = run_example("camera.py", video, tiny_bundle.path)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 12 and all(line[0] in CLASSES for line in lines), done.stderr


@pytest.mark.slow
def test_the_example_of_a_table(tiny_bundle: Bundle, demo_images: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    for path in demo_images[:4]:
        cv2.imwrite(str(tmp_path / f"{path.stem}.png"), decode(path))
    (tmp_path / "broken.png").touch()
    done = run_example("folder_to_table.py", tmp_path, tiny_bundle.path)
    assert done.returncode == 3 and "broken.png: the file is empty" in done.stderr
    counts = [int(line.split()[1]) for line in done.stdout.splitlines()[2:]]
    assert sum(counts) == 4
