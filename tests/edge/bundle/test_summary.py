from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import Candidate, Choice, FloatBlocks
from ssr_edge.bundle.summary import describe
from ssr_edge.common.errors import BundleError


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def told(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What is said of a bundle, by the word in front of it; each line's spaces made single."""
    describe(bundle)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}


def test_a_bundle_in_words(tiny_bundle: Bundle, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = told(tiny_bundle, capsys)
    assert words["bundle"].endswith(f"{len(tiny_bundle.manifest.files)} files, all hashes right")
    assert words["network"].startswith("ssresnext14_8x4d: 0.63 M parameters, 0.1")
    assert words["classes"] == "A F PT TA DC LC MC PC at 100X"
    assert words["weights"].startswith(str(tiny_checkpoint))
    assert words["test"] == "macro-F1 0.833, accuracy 0.875, 8 images"
    assert words["INT8"] == "ranges percentile, from 15 images, biases corrected"
    report = tiny_bundle.manifest.quantization
    assert report is not None
    worst = min(report.blocks, key=lambda block: block.both.sqnr_db)
    assert words["error"].startswith(f"by block logits {report.logits.both.sqnr_db:.1f} dB")
    assert f"worst block {worst.block}, {worst.both.sqnr_db:.1f} dB" in words["error"]
    assert words["engine"].startswith("openvino ")
    assert words["Decision"] == "support for research, not a medical device."


def test_weights_fine_tuned_with_quantization_say_from_which(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tiny_bundle.manifest.model_copy(deep=True)
    assert "fine-tuned" not in told(tiny_bundle, capsys)
    manifest.provenance.fine_tuned_from = "0123456789abcdef"
    assert told(replace(tiny_bundle, manifest=manifest), capsys)["fine-tuned"] == "with quantization, from 0123456789ab"


def test_every_engine_is_told_with_its_gate(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    describe(tiny_bundle)
    text = capsys.readouterr().out
    for engine in tiny_bundle.manifest.engines:
        assert engine.file in text
        assert f"{engine.version} {engine.precision} for {engine.device}, batch 1 to 64" in text
    assert text.count("of 6 labels agree, macro-F1") == 2


def test_engines_that_failed_or_were_not_judged_say_so(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tiny_bundle.manifest.model_copy(deep=True)
    first, second = manifest.engines
    assert first.gate is not None
    first.gate = first.gate.model_copy(
        update={"passed": False, "allowed_drop": True, "allowed_by": "dr-gray", "agreement": 0.5}
    )
    second.gate = None
    describe(replace(tiny_bundle, manifest=manifest))
    text = capsys.readouterr().out
    assert "gate failed, let through by --allow-drop (dr-gray): 50.0% of 6 labels agree" in text
    assert "gate not run" in text


def test_what_was_chosen_kept_in_floating_point_dropped_and_refused_is_told(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tiny_bundle.manifest.model_copy(deep=True)
    dropped = Candidate(precision="bf16", dropped="90.0% of the labels agree")
    manifest.chosen = {"openvino": Choice(precision="int8", device="a CPU", why="2 ms an image", candidates=[dropped])}
    manifest.float_blocks = FloatBlocks(asked="auto", blocks=["stem", "stages.1.blocks.0"], why="it passes so")
    manifest.refused = "openvino int8 lost too much"
    words = told(replace(tiny_bundle, manifest=manifest), capsys)
    assert words["chosen"] == "openvino int8 on a CPU: 2 ms an image"
    assert words["INT8"] == "islands stem, stages.1.blocks.0 in floating point: it passes so"
    assert words["refused"].startswith("openvino int8 lost too much")
    assert words["bf16"] == "was dropped: 90.0% of the labels agree"


def test_a_bundle_without_engines_says_how_to_build_them(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tiny_bundle.manifest.model_copy(update={"engines": [], "magnification": None})
    words = told(replace(tiny_bundle, manifest=manifest), capsys)
    assert words["engines"] == f"none: ssr-edge build-engine {tiny_bundle.path}"
    assert words["classes"].endswith("at any magnification")


def test_a_changed_file_is_refused_before_anything_is_told(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "copy")
    with (tmp_path / "copy" / "model.fp16.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleError, match="was changed"):
        describe(Bundle.open(tmp_path / "copy"))
    assert capsys.readouterr().out == ""


def test_remedies_are_told(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tiny_bundle.manifest.model_copy(deep=True)
    assert manifest.calibration is not None
    manifest.calibration.equalized = manifest.calibration.bias_corrected = True
    words = told(Bundle(tiny_bundle.path, manifest), capsys)
    assert words["INT8"] == "ranges percentile, from 15 images, equalized, biases corrected"
