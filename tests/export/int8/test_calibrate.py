"""Calibration: ranges from real images, a cache that is used only if it matches, constant memory."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import ExportError
from ssr_export.int8 import calibrate as calibration_module
from ssr_export.int8.bias_correction import bias_errors
from ssr_export.int8.calibrate import Calibration, calibrate, read_calibration
from ssr_export.int8.ranges import Fixed


@pytest.fixture
def model(tiny_bundle: Bundle) -> Path:
    return tiny_bundle.file("model.fp32.onnx")


def test_ranges_grow_with_the_images_under_minmax(model: Path, calibration_images: list[Path]) -> None:
    few = calibrate(model, calibration_images[:2], "minmax").ranges
    more = calibrate(model, calibration_images[:8], "minmax").ranges
    assert few.keys() == more.keys()
    assert all(more[tensor] >= few[tensor] for tensor in few)
    # The input is the normalized image: its range is known without running anything.
    assert 1.0 < next(iter(few.values())) <= (1 - 0.406) / 0.225 + 1e-5


def test_the_order_of_the_images_does_not_matter(model: Path, calibration_images: list[Path]) -> None:
    forwards = calibrate(model, calibration_images[:6], "percentile")
    backwards = calibrate(model, calibration_images[5::-1], "percentile")
    assert forwards.images == backwards.images
    assert forwards.ranges == pytest.approx(backwards.ranges, rel=1e-3)


def test_the_cache_spares_the_work_when_it_fits(
    model: Path, calibration_images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "calibration.json"
    first = calibrate(model, calibration_images[:2], "mse", cache)

    def refuse(*_: object) -> None:
        raise AssertionError("calibrated again")

    monkeypatch.setattr(calibration_module, "collect_histograms", refuse)
    assert calibrate(model, calibration_images[1::-1], "mse", cache) == first


@pytest.mark.parametrize("change", ["model", "images", "method"])
def test_the_cache_is_not_used_for_anything_else(
    model: Path, calibration_images: list[Path], change: str, tmp_path: Path
) -> None:
    cache = tmp_path / "calibration.json"
    true = calibrate(model, calibration_images[:2], "minmax")
    stale = true.model_copy(update={"ranges": dict.fromkeys(true.ranges, 123.0)})
    stale.write(cache)
    assert calibrate(model, calibration_images[:2], "minmax", cache).ranges == stale.ranges
    other = {"model": "0" * 64, "images": ["0" * 64], "method": "mse"}[change]
    stale.model_copy(update={change: other}).write(cache)
    assert calibrate(model, calibration_images[:2], "minmax", cache) == true
    assert read_calibration(cache) == true


def test_corrected_biases_are_kept_with_the_ranges_and_belong_to_the_key(
    model: Path, calibration_images: list[Path], tmp_path: Path
) -> None:
    cache, images = tmp_path / "calibration.json", calibration_images[:2]
    plain = calibrate(model, images, "minmax", cache)
    assert plain.bias_errors == {}
    corrected = calibrate(model, images, "minmax", cache, correct_bias=True)
    assert corrected.ranges == plain.ranges
    assert corrected.bias_errors == bias_errors(model, plain.ranges, images)
    assert calibrate(model, images, "minmax", cache, correct_bias=True) == corrected == read_calibration(cache)
    assert calibrate(model, images, "minmax", cache) == plain


def test_a_killed_calibration_leaves_the_cache_as_it_was(
    model: Path, calibration_images: list[Path], tmp_path: Path
) -> None:
    cache = tmp_path / "calibration.json"
    before = calibrate(model, calibration_images[:1], "minmax", cache)
    # Killed at the worst moment: half of the new text is on disk and the file is not renamed yet.
    program = (
        "import os, signal, sys; from pathlib import Path; from ssr_export.int8.calibrate import calibrate\n"
        "whole = Path.write_text\n"
        "def half(path, text, *rest):\n"
        "    whole(path, text[: len(text) // 2], *rest)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "Path.write_text = half\n"
        "model, cache, *images = map(Path, sys.argv[1:])\n"
        "calibrate(model, images, 'minmax', cache)"
    )
    arguments = [sys.executable, "-c", program, str(model), str(cache), *map(str, calibration_images[1:3])]
    assert subprocess.run(arguments, capture_output=True).returncode == -signal.SIGKILL
    assert read_calibration(cache) == before
    after = calibrate(model, calibration_images[1:3], "minmax", cache)
    assert read_calibration(cache) == after != before


def test_a_damaged_cache_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    assert read_calibration(file) is None
    for damage in ("", "{", '{"method": "minmax"}', "[]"):
        file.write_text(damage)
        assert read_calibration(file) is None


def test_an_unreadable_image_is_skipped(model: Path, calibration_images: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    with_it = calibrate(model, [calibration_images[0], broken, calibration_images[1]], "minmax")
    assert with_it.ranges == pytest.approx(calibrate(model, calibration_images[:2], "minmax").ranges, rel=1e-5)


def test_no_readable_image_is_refused(model: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    with pytest.raises(ExportError, match="none of the 1 "):
        calibrate(model, [empty], "minmax")


def test_fingerprint_depends_on_the_ranges_alone() -> None:
    def made(ranges: dict[str, float]) -> str:
        return Calibration(method="mse", model="m", images=[], ranges=ranges).sha256

    assert made({"a": 1.0, "b": 2.0}) == made({"b": 2.0, "a": 1.0})
    assert made({"a": 1.0}) != made({"a": 1.0000001})


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(model: Path, calibration_images: list[Path]) -> None:
    program = (
        "import resource, sys; from pathlib import Path; from ssr_export.int8.calibrate import collect_histograms\n"
        "model, repeat, *images = sys.argv[1:]\n"
        "collect_histograms(Path(model), [Path(p) for p in images] * int(repeat))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )

    def peak(repeat: int) -> int:
        arguments = [str(model), str(repeat), *map(str, calibration_images[:8])]
        run = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
        return int(run.stdout)

    assert peak(12) < 1.1 * peak(1)


@pytest.mark.slow
def test_auto_chooses_by_tensor_from_three_quarters_of_the_images(model: Path, calibration_images: list[Path]) -> None:
    images = calibration_images[:8]
    found = calibrate(model, images, "auto")
    rest = [path for number, path in enumerate(images) if number % 4]
    fixed = {method: calibrate(model, rest, method).ranges for method in get_args(Fixed)}
    assert found.chosen.keys() == found.ranges.keys() == fixed["mse"].keys()
    assert all(found.ranges[tensor] == fixed[method][tensor] for tensor, method in found.chosen.items())
    assert len(found.images) == 8


def test_auto_needs_a_second_image(model: Path, calibration_images: list[Path]) -> None:
    with pytest.raises(ExportError, match="--method auto") as refusal:
        calibrate(model, calibration_images[:1], "auto")
    assert "2 calibration images" in refusal.value.expected
