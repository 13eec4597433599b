from __future__ import annotations

from collections.abc import Callable

import pytest

from ssr_edge.bundle.bundle import Bundle, write_manifest
from ssr_edge.bundle.manifest import Candidate, Choice
from ssr_edge.common.errors import BundleError, UsageError
from ssr_edge.triton.models import plan_models

PLAN = {"runtime": "tensorrt", "precision": "int8"}


def test_each_precision_is_one_model_of_its_best_engine(with_engines: Callable[..., Bundle]) -> None:
    plan = plan_models(with_engines(PLAN))
    assert [(model.name, model.runtime, model.source) for model in plan.models] == [
        ("demo_fp32", "onnxruntime", "model.fp32.onnx"),
        ("demo_fp16", "onnxruntime", "model.fp16.onnx"),
        ("demo_int8", "tensorrt", "engines/0.plan"),
    ]
    assert plan.left_out == []


def test_without_a_plan_int8_is_openvinos(with_engines: Callable[..., Bundle]) -> None:
    assert [model.runtime for model in plan_models(with_engines(), precisions=["int8"]).models] == ["openvino"]


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [
        ("tensorrt", ["demo_int8"]),
        ("openvino", ["demo_fp32", "demo_bf16", "demo_int8"]),
        ("onnxruntime", ["demo_fp32", "demo_fp16", "demo_int8"]),
    ],
)
def test_a_runtime_serves_what_the_bundle_has_for_it(
    with_engines: Callable[..., Bundle], runtime: str, expected: list[str]
) -> None:
    bundle = with_engines(PLAN, {"runtime": "openvino", "precision": "bf16", "model": "model.fp32.onnx"})
    models = plan_models(bundle, runtime).models
    assert [model.name for model in models] == expected
    assert {model.runtime for model in models} == {runtime}


def test_an_engine_of_tensorrt_for_rtx_is_left_out(with_engines: Callable[..., Bundle]) -> None:
    plan = plan_models(with_engines({"runtime": "tensorrt-rtx", "precision": "fp16", "device": "portable"}))
    assert "tensorrt" not in {model.runtime for model in plan.models}
    (line,) = plan.left_out
    assert line.startswith("engines/0.plan ") and "TensorRT for RTX" in line
    assert "--runtime tensorrt --precision fp16" in line


def test_what_the_gate_dropped_is_served_only_when_it_is_named(with_engines: Callable[..., Bundle]) -> None:
    bundle = with_engines()
    bundle.manifest.chosen["openvino"] = Choice(
        precision="fp32",
        device="CPU",
        why="",
        candidates=[Candidate(precision="int8", dropped="it loses 3 points of macro-F1")],
    )
    write_manifest(bundle.path, bundle.manifest)
    plan = plan_models(Bundle.open(bundle.path))
    assert [model.precision for model in plan.models] == ["fp32", "fp16"]
    (line,) = plan.left_out
    assert line.startswith("int8 ")
    assert "it loses 3 points of macro-F1" in line and "--precision int8" in line
    assert [model.precision for model in plan_models(bundle, precisions=["int8"]).models] == ["int8"]


def test_a_missing_precision_is_left_out(with_engines: Callable[..., Bundle]) -> None:
    plan = plan_models(with_engines(), precisions=["bf16", "fp32"])
    assert [model.precision for model in plan.models] == ["fp32"]
    (line,) = plan.left_out
    assert "bf16" in line


def test_nothing_to_serve_is_an_error(tiny_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="tensorrt"):
        plan_models(tiny_bundle, "tensorrt")
    with pytest.raises(BundleError, match="bf16"):
        plan_models(tiny_bundle, precisions=["bf16"])


@pytest.mark.parametrize(("runtime", "precisions"), [("tensorrt-rtx", ["int8"]), ("torch", []), (None, ["int4"])])
def test_an_unknown_name_is_refused(tiny_bundle: Bundle, runtime: str | None, precisions: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        plan_models(tiny_bundle, runtime, precisions)
    assert repr(runtime if runtime else precisions[0]) in refused.value.found
