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


def described(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The lines of a bundle's summary by their first word, with single spaces."""
    describe(bundle)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}


def test_a_bundles_summary(tiny_bundle: Bundle, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = described(tiny_bundle, capsys)
    assert f" {len(tiny_bundle.manifest.files)} files, all hashes" in words["bundle"]
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
    assert "not a medical device" in words["Decision"]


def test_fine_tuned_weights_name_their_checkpoint(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tiny_bundle.manifest.model_copy(deep=True)
    assert "fine-tuned" not in described(tiny_bundle, capsys)
    manifest.provenance.fine_tuned_from = "0123456789abcdef"
    line = described(replace(tiny_bundle, manifest=manifest), capsys)["fine-tuned"]
    assert line.endswith(" 0123456789ab")


def test_every_engine_is_listed_with_its_gate(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    describe(tiny_bundle)
    text = capsys.readouterr().out
    for engine in tiny_bundle.manifest.engines:
        assert engine.file in text
        assert f"{engine.version} {engine.precision} for {engine.device}, batch 1 to 64" in text
    assert text.count("of 6 labels agree, macro-F1") == 2


def test_a_failed_gate_and_one_that_was_not_run_are_shown(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tiny_bundle.manifest.model_copy(deep=True)
    first, second = manifest.engines
    assert first.gate is not None
    first.gate = first.gate.model_copy(
        update={"passed": False, "allowed_drop": True, "allowed_by": "dr-gray", "agreement": 0.5}
    )
    second.gate = None
    describe(replace(tiny_bundle, manifest=manifest))
    text = capsys.readouterr().out
    (failed,) = [line for line in text.splitlines() if "gate failed" in line]
    assert "--allow-drop (dr-gray)" in failed
    assert "50.0% of 6 labels" in failed
    assert "gate not run" in text


def test_the_choice_float_blocks_rejected_precisions_and_refusal_are_shown(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tiny_bundle.manifest.model_copy(deep=True)
    dropped = Candidate(precision="bf16", dropped="90.0% of the labels agree")
    manifest.chosen = {"openvino": Choice(precision="int8", device="a CPU", why="2 ms an image", candidates=[dropped])}
    manifest.float_blocks = FloatBlocks(asked="auto", blocks=["stem", "stages.1.blocks.0"], why="it passes so")
    manifest.refused = "openvino int8 lost too much"
    words = described(replace(tiny_bundle, manifest=manifest), capsys)
    assert words["chosen"] == "openvino int8 on a CPU: 2 ms an image"
    assert words["float"] == "blocks stem, stages.1.blocks.0: it passes so"
    assert words["refused"].startswith("openvino int8 lost too much")
    assert words["bf16"].endswith(": 90.0% of the labels agree")


def test_a_bundle_without_engines_names_the_command_that_builds_them(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tiny_bundle.manifest.model_copy(update={"engines": [], "magnification": None})
    words = described(replace(tiny_bundle, manifest=manifest), capsys)
    assert words["engines"].endswith(f"ssr-edge build-engine {tiny_bundle.path}")
    assert words["classes"].endswith("at any magnification")


def test_a_changed_file_is_refused_before_anything_is_printed(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "copy")
    with (tmp_path / "copy" / "model.fp16.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleError) as error:
        describe(Bundle.open(tmp_path / "copy"))
    assert "model.fp16.onnx" in error.value.found
    assert capsys.readouterr().out == ""


def test_int8_corrections_are_listed(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tiny_bundle.manifest.model_copy(deep=True)
    assert manifest.calibration is not None
    manifest.calibration.equalized = manifest.calibration.bias_corrected = True
    words = described(Bundle(tiny_bundle.path, manifest), capsys)
    assert words["INT8"] == "ranges percentile, from 15 images, equalized, biases corrected"
