"""Which engines ship: required ones must pass, others may be dropped, FP32 alone is never the default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ssr_edge.bundle.bundle import Bundle, refused_place
from ssr_edge.bundle.manifest import EngineEntry, GateResult
from ssr_edge.common.errors import GateRefused, UsageError
from ssr_export.build_bundle import build_bundle
from ssr_export.engines import bundle_builder
from ssr_export.engines.build import EngineRequest
from ssr_export.plan import BundlePlan

pytestmark = pytest.mark.slow

Fail = Callable[[str], None]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """`fail("int8")`: engines of that precision fail the gate; all others are perfect."""

    def set_up(precision: str) -> None:
        def evaluate(_: Bundle, engine: EngineEntry, __: object) -> GateResult:
            lost = engine.precision == precision
            return GateResult(
                images=10,
                labeled=False,
                agreement=0.1 if lost else 1.0,
                macro_f1=None,
                macro_f1_fp32=None,
                max_probability_difference=0.0,
                passed=not lost,
                reasons=["its labels are noise"] if lost else [],
            )

        monkeypatch.setattr(bundle_builder, "evaluate_engine", evaluate)
        monkeypatch.setattr(bundle_builder, "read_held_out", lambda *_: None)

    return set_up


@pytest.fixture
def plan(tiny_bundle: Bundle, tmp_path: Path, demo_images: list[Path]) -> Callable[..., BundlePlan]:
    def make(required: bool, float_blocks: str = "none", allow_drop: bool = False) -> BundlePlan:
        requests = [EngineRequest("openvino", p, required=required) for p in ("fp32", "int8")]
        return BundlePlan(
            source=tiny_bundle.path,
            bundle=tmp_path / "b",
            engines=tuple(requests),
            method="percentile",
            held_out=demo_images[0].parent,
            allow_drop=allow_drop,
            float_blocks=float_blocks,
        )

    return make


def test_a_candidate_that_fails_is_dropped_with_its_files_and_the_reason(
    fail: Fail, plan: Callable[..., BundlePlan], capsys: pytest.CaptureFixture[str]
) -> None:
    fail("fp32")
    made = build_bundle(plan(required=False), print)
    assert [engine.precision for engine in made.manifest.engines] == ["int8"]
    assert not [path for path in (made.path / "engines").iterdir() if "fp32" in path.name]
    choice = made.manifest.chosen["openvino"]
    assert choice.precision == "int8"
    assert [c.dropped for c in choice.candidates] == ["its labels are noise", None]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("dropped")]
    assert "fp32" in line and "its labels are noise" in line


@pytest.mark.parametrize("required", [True, False], ids=["required", "only fp32 left"])
def test_refused(fail: Fail, plan: Callable[..., BundlePlan], required: bool) -> None:
    fail("int8")
    request = plan(required)
    with pytest.raises(GateRefused) as error:
        build_bundle(request, print)
    assert "openvino int8" in error.value.found and "its labels are noise" in error.value.found
    assert str(refused_place(request.bundle)) in error.value.found
    assert not request.bundle.exists()
    aside = Bundle.open(refused_place(request.bundle)).manifest
    assert {engine.precision for engine in aside.engines} == {"fp32", "int8"}
    assert aside.refused is not None


def test_allow_drop_ships_it_and_the_manifest_records_the_user(
    fail: Fail, plan: Callable[..., BundlePlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "dr-gray")
    fail("int8")
    made = build_bundle(plan(required=True, allow_drop=True), print)
    engine = made.engine("openvino", "int8")
    assert engine is not None
    assert engine.gate is not None
    assert (engine.gate.passed, engine.gate.allowed_drop, engine.gate.allowed_by) == (False, True, "dr-gray")


def test_named_float_blocks_are_built_and_recorded(fail: Fail, plan: Callable[..., BundlePlan]) -> None:
    fail("nothing")
    made = build_bundle(plan(required=True, float_blocks="stages.1.blocks.0,stem"), print)
    assert made.manifest.float_blocks is not None
    assert made.manifest.float_blocks.blocks == ["stem", "stages.1.blocks.0"]
    assert {e.precision: e.float_blocks for e in made.manifest.engines} == {
        "fp32": [], "int8": ["stem", "stages.1.blocks.0"],
    }  # fmt: skip
    with pytest.raises(UsageError, match=r"'stages\.7'"):
        build_bundle(plan(required=True, float_blocks="stages.7"), print)


def test_a_search_that_finds_nothing_leaves_plain_int8(fail: Fail, plan: Callable[..., BundlePlan]) -> None:
    fail("int8")
    request = plan(required=True, float_blocks="auto")
    with pytest.raises(GateRefused):
        build_bundle(request, print)
    aside = Bundle.open(refused_place(request.bundle))
    assert aside.manifest.float_blocks is not None
    assert aside.manifest.float_blocks.blocks == []
    assert aside.manifest.float_blocks.trials != []
    assert aside.file("model.int8.onnx").stat().st_size < 0.4 * aside.file("model.fp32.onnx").stat().st_size
