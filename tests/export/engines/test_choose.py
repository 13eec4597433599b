"""The choice between engines: by measured time, and only for a significant gain."""

from __future__ import annotations

import numpy as np
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import Precision
from ssr_export.engines import choose
from ssr_export.engines.choose import choose_engine

pytestmark = pytest.mark.slow


def rounds(ms: float, spread: float, seed: int) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    return [list(ms * rng.normal(1, spread, 5)) for _ in range(12)]


def test_the_engines_of_a_bundle_are_timed_and_the_faster_is_chosen(demo_bundle: Bundle) -> None:
    choice = demo_bundle.manifest.chosen["openvino"]
    ms = {candidate.precision: candidate.ms for candidate in choice.candidates}
    assert set(ms) == {"fp32", "int8"}
    assert all(time is not None and time > 0 for time in ms.values())
    # 2.4 times as fast on a CPU with VNNI; a CPU without it may choose fp32, because it is faster there.
    if choice.precision == "int8":
        assert ms["int8"] < ms["fp32"]  # type: ignore[operator]
        assert "fp32" in choice.why
    assert choice.device == demo_bundle.manifest.engines[0].device


@pytest.mark.parametrize(
    ("int8_ms", "expected"), [(5.0, "int8"), (10.0, "fp32"), (20.0, "fp32")], ids=["faster", "not faster", "slower"]
)
def test_precision_is_given_up_only_for_speed(
    demo_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, int8_ms: float, expected: Precision
) -> None:
    times = {"fp32": rounds(10.0, 0.1, 1), "int8": rounds(int8_ms, 0.1, 2)}
    monkeypatch.setattr(choose, "_measure", lambda *_: (times, {}))
    choice = choose_engine(demo_bundle.path, demo_bundle.manifest.engines, {"bf16": "failed the gate"})
    assert choice is not None
    assert choice.precision == expected
    assert [(c.precision, c.dropped) for c in choice.candidates] == [
        ("fp32", None), ("bf16", "failed the gate"), ("int8", None),
    ]  # fmt: skip


def test_an_engine_that_cannot_be_timed_is_left_out(demo_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "_measure", lambda *_: ({"fp32": rounds(10.0, 0.1, 1)}, {"int8": "its process exited"}))
    choice = choose_engine(demo_bundle.path, demo_bundle.manifest.engines, {})
    assert choice is not None
    assert choice.precision == "fp32"
    assert choice.candidates[1].dropped == "its process exited"
    monkeypatch.setattr(choose, "_measure", lambda *_: ({}, dict.fromkeys(("fp32", "int8"), "its process exited")))
    assert choose_engine(demo_bundle.path, demo_bundle.manifest.engines, {}) is None


def test_a_single_engine_needs_no_timing(demo_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(choose, "_measure")
    fp32 = [engine for engine in demo_bundle.manifest.engines if engine.precision == "fp32"]
    choice = choose_engine(demo_bundle.path, fp32, {})
    assert choice is not None
    assert choice.precision == "fp32"
    assert [(c.precision, c.ms) for c in choice.candidates] == [("fp32", None)]
