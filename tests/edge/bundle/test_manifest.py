from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import SCHEMA_VERSION, Manifest


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


def test_a_calibration_older_than_the_remedies_loads_as_plain(fields: dict[str, Any]) -> None:
    del fields["calibration"]["equalized"], fields["calibration"]["bias_corrected"]
    calibration = Manifest.model_validate(fields).calibration
    assert calibration is not None
    assert (calibration.equalized, calibration.bias_corrected) == (False, False)
