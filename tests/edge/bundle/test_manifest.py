from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ssr_edge.bundle.bundle import MANIFEST, Bundle
from ssr_edge.bundle.manifest import SCHEMA_VERSION, Manifest
from ssr_train.training.checkpoint import CheckpointCard
from ssr_train.training.recipe import Recipe, load_recipe


@pytest.fixture
def fields(tiny_bundle: Bundle) -> dict[str, Any]:
    """A real manifest as plain JSON values."""
    values: dict[str, Any] = json.loads((tiny_bundle.path / "manifest.json").read_bytes())
    return values


def test_a_manifest_survives_json(tiny_bundle: Bundle, fields: dict[str, Any]) -> None:
    assert Manifest.model_validate(fields) == tiny_bundle.manifest
    assert json.loads(tiny_bundle.manifest.model_dump_json()) == fields
    assert fields["schema_version"] == SCHEMA_VERSION == 1


def test_preprocessing_is_written_down(fields: dict[str, Any]) -> None:
    assert fields["preprocessing"] == {
        "resize": "area",
        "size": 224,
        "color_order": "BGR",
        "mean": [0.406, 0.456, 0.485],
        "deviation": [0.225, 0.224, 0.229],
    }


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("surprise",), 1),
        (("fold", "surprise"), 1),
        (("engines", 0, "precision"), "int4"),
        (("engines", 0, "batch"), [1, 8]),
        (("files", 0, "size"), "large"),
        (("preprocessing", "color_order"), "RGB"),
        (("parameters",), None),
    ],
)
def test_an_unknown_field_or_a_wrong_value_is_refused(
    fields: dict[str, Any], place: tuple[Any, ...], value: Any
) -> None:
    inner: Any = fields
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ValidationError) as error:
        Manifest.model_validate(fields)
    assert error.value.errors()[0]["loc"][: len(place)] == place


def test_a_calibration_from_before_the_corrections_has_none(fields: dict[str, Any]) -> None:
    del fields["calibration"]["equalized"], fields["calibration"]["bias_corrected"]
    calibration = Manifest.model_validate(fields).calibration
    assert calibration is not None
    assert (calibration.equalized, calibration.bias_corrected) == (False, False)


# Written by version 0.1, when some fields had British or other names.
_SIGNAL = '{"sqnr_db": 31.5, "cosine": 0.9996}'
_ERROR = f'"weights": {_SIGNAL}, "activations": {_SIGNAL}, "both": {_SIGNAL}'
MANIFEST_0_1 = f"""
{{
  "schema_version": 1,
  "name": "demo",
  "created": "2026-03-01T12:00:00+00:00",
  "arch": {{"name": "ssresnext32_16x4d"}},
  "classes": ["A", "F", "PT", "TA", "DC", "LC", "MC", "PC"],
  "magnification": 100,
  "preprocessing": {{
    "resize": "area", "size": 224, "colour_order": "BGR",
    "mean": [0.406, 0.456, 0.485], "deviation": [0.225, 0.224, 0.229]
  }},
  "provenance": {{
    "checkpoint": "runs/demo/checkpoint.safetensors", "checkpoint_sha256": "c0ffee",
    "data": "BreaKHis", "data_fingerprint": "f00d", "tools": {{"torch": "2.11.0"}}
  }},
  "parameters": 2500000,
  "multiply_adds": 900000000,
  "fold": {{
    "images": 4, "fp32": 1.5e-06, "fp64": 2.5e-15,
    "blocks": [{{"block": "stem", "fp32": 3.5e-07, "fp64": 4.5e-16}}]
  }},
  "onnx_parity": {{"images": 4, "relative_error": 5.5e-07}},
  "calibration": {{
    "method": "percentile", "images": ["aa", "bb"], "ranges_sha256": "cc",
    "equalised": true, "bias_corrected": true
  }},
  "quantisation": {{
    "images": 15,
    "logits": {{{_ERROR}}},
    "blocks": [{{"block": "stem", {_ERROR}}}],
    "tensors": [{{
      "name": "stem.input", "tensor": "images", "block": "stem", "kind": "activation",
      "range": 2.5, "narrowest": null, "largest": 2.75, "values": 1000, "clipped": 3
    }}]
  }},
  "metrics": {{}},
  "engines": [{{
    "file": "engines/openvino-int8.blob", "runtime": "openvino", "version": "2026.0", "device": "a CPU",
    "precision": "int8", "model": "model.int8.onnx", "batch": [1, 8, 64], "build_seconds": 2.5, "options": {{}},
    "islands": ["stem"],
    "gate": {{
      "images": 22, "patients": 11, "labelled": true, "agreement": 1.0, "agreement_interval": [0.9, 1.0],
      "macro_f1": 0.9, "macro_f1_fp32": 0.9, "max_probability_difference": 0.01, "passed": true
    }}
  }}],
  "islands": {{
    "asked": "auto", "blocks": ["stem"], "why": "plain INT8 did not pass",
    "trials": [{{"block": "stem", "before": 0.08, "error": 0.04, "added_ms": 0.1, "kept": true}}]
  }},
  "cam": false,
  "chosen": {{}},
  "refused": null,
  "files": []
}}
"""
RECIPE_0_1 = """
{
  "name": "modern", "epochs": 200, "batch_size": 16, "optimizer": "adamw", "learning_rate": 0.002,
  "weight_decay": 0.05, "schedule": "cosine", "warmup_epochs": 5.0, "dice_weight": 0.5, "label_smoothing": 0.1,
  "ema_decay": 0.99,
  "augment": {
    "crop_scale": 0.4, "right_angle_rotations": true, "horizontal_flip": true, "colour_jitter": 0.25
  }
}
"""
CARD_0_1 = f"""
{{
  "arch": {{"name": "ssresnext32_16x4d"}}, "classes": ["A", "F", "PT", "TA", "DC", "LC", "MC", "PC"],
  "magnification": 100, "recipe": {RECIPE_0_1}, "seed": 0, "epochs": 200, "data": "BreaKHis",
  "split_kind": "image", "split_seed": 0, "split": {{"SOB_B_A-14-22549AB-100-001": "train"}},
  "metrics": {{}}, "tools": {{"torch": "2.11.0"}}, "initialised_from": "abc123"
}}
"""
TOML_0_1 = """
epochs = 30
batch_size = 16
optimizer = "adam"
learning_rate = 0.001
schedule = "step"

[augment]
crop_scale = 0.8
right_angle_rotations = false
horizontal_flip = true
colour_jitter = 0.125
"""


def test_a_bundle_of_version_0_1_still_opens(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(MANIFEST_0_1)
    manifest = Bundle.open(tmp_path).manifest
    assert manifest.preprocessing.color_order == "BGR"
    assert (manifest.fold.fp32, manifest.fold.fp64, manifest.fold.blocks[0].block) == (1.5e-06, 2.5e-15, "stem")
    assert manifest.calibration is not None and manifest.calibration.equalized
    assert manifest.quantization is not None and manifest.quantization.logits.both.sqnr_db == 31.5
    (engine,) = manifest.engines
    assert engine.float_blocks == ["stem"]
    assert engine.gate is not None and engine.gate.labeled
    assert manifest.float_blocks is not None and manifest.float_blocks.trials[0].error == 0.04


def test_an_older_manifest_is_rewritten_with_todays_names() -> None:
    manifest = Manifest.model_validate_json(MANIFEST_0_1)
    text = manifest.model_dump_json()
    for name in ("quantisation", "islands", "colour_order", "equalised", "labelled"):
        assert f'"{name}"' in MANIFEST_0_1
        assert f'"{name}"' not in text
    assert Manifest.model_validate_json(text) == manifest


def test_a_checkpoint_card_of_version_0_1_still_opens() -> None:
    card = CheckpointCard.model_validate_json(CARD_0_1)
    assert card.initialized_from == "abc123"
    assert Recipe.model_validate(card.recipe).augment.color_jitter == 0.25


def test_a_recipe_file_of_version_0_1_still_opens(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TOML_0_1)
    assert load_recipe(str(tmp_path / "mine.toml")).augment.color_jitter == 0.125
