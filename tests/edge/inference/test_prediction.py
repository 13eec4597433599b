from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.breakhis.names import CLASSES, MALIGNANT
from ssr_edge.common.errors import InputError
from ssr_edge.inference.prediction import Prediction, decide

LARGE = (460, 700, 3)


def decision(
    values: list[float], source: str = "x.png", shape: tuple[int, ...] = LARGE, magnification: int | None = 100
) -> Prediction:
    return decide(Path(source), shape, np.array(values, np.float32), magnification, 12.5)


def test_the_most_probable_class_wins() -> None:
    found = decision([0.05, 0.05, 0.02, 0.03, 0.6, 0.1, 0.1, 0.05])
    assert (found.label, found.source, found.frame, found.latency_ms) == ("DC", "x.png", 0, 12.5)
    assert found.confidence == pytest.approx(0.6)
    assert found.malignant_probability == pytest.approx(0.85)
    assert found.flags == ()


@given(st.lists(st.floats(0.01, 1), min_size=8, max_size=8))
def test_label_confidence_and_malignancy_follow_from_the_probabilities(weights: list[float]) -> None:
    probabilities = np.array(weights, np.float32) / np.float32(sum(weights))
    found = decision(probabilities.tolist())
    assert probabilities[CLASSES.index(found.label)] == probabilities.max() == np.float32(found.confidence)
    malignant = sum(float(p) for label, p in zip(CLASSES, probabilities, strict=True) if label in MALIGNANT)
    assert found.malignant_probability == pytest.approx(malignant, abs=1e-6)
    assert ("low-confidence" in found.flags) == (found.confidence < 0.5)


@pytest.mark.parametrize(("best", "flagged"), [(0.5, False), (0.4999, True), (0.51, False)])
def test_less_than_half_is_low_confidence(best: float, flagged: bool) -> None:
    values = [best, *[(1 - best) / 7] * 7]
    assert decision(values).flags == (("low-confidence",) if flagged else ())


@pytest.mark.parametrize(
    ("shape", "flagged"), [((224, 224, 3), False), ((223, 700, 3), True), ((460, 223, 3), True), (LARGE, False)]
)
def test_an_image_smaller_than_the_networks_input_is_upscaled(shape: tuple[int, ...], flagged: bool) -> None:
    assert decision([1, *[0] * 7], shape=shape).flags == (("upscaled",) if flagged else ())


@pytest.mark.parametrize(
    ("source", "magnification", "flagged"),
    [
        ("SOB_M_DC-14-2523-400-001.png", 100, True),
        ("SOB_M_DC-14-2523-100-001.png", 100, False),
        ("SOB_M_DC-14-2523-400-001.png", None, False),
        ("field 400.png", 100, False),
    ],
)
def test_a_name_of_another_magnification_is_flagged(source: str, magnification: int | None, flagged: bool) -> None:
    expected = ("other-magnification",) if flagged else ()
    assert decision([1, *[0] * 7], source, magnification=magnification).flags == expected


def test_flags_add_up() -> None:
    flags = decision([0.2, *[0.8 / 7] * 7], "SOB_M_DC-14-2523-400-001.png", (46, 70, 3)).flags
    assert flags == ("low-confidence", "upscaled", "other-magnification")


@pytest.mark.parametrize(
    "values",
    [
        [np.nan] * 8,
        [np.nan, *[1 / 7] * 7],
        [np.inf, *[0] * 7],
        [-np.inf, 1, *[0] * 6],
        [37.0, *[0] * 7],
        [3e38] * 8,
        [-0.5, 1.5, *[0] * 6],
        [0.0] * 8,
        [0.5] * 8,
        [1.0, 1.0, *[0] * 6],
    ],
)
def test_impossible_probabilities_get_no_label(values: list[float]) -> None:
    with pytest.raises(InputError) as error:
        decision(values, "field.png")
    assert error.value.found.startswith("field.png: ") and f"{values[0]:.3g}" in error.value.found


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 30), st.sampled_from([np.float16, np.float32]))
def test_every_softmax_is_accepted_in_half_precision_too(seed: int, scale: float, dtype: type[np.floating]) -> None:
    logits = (np.random.default_rng(seed).normal(0, scale, 8)).astype(dtype)
    powers = np.exp(logits - logits.max())
    probabilities = (powers / powers.sum(dtype=dtype)).astype(np.float32)
    assert decision(probabilities.tolist()).confidence == pytest.approx(float(probabilities.max()))
