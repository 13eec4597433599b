from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest

from ssr_edge.bench.measure import engines
from ssr_edge.bench.measure.engines import TORCH_FORMS, plan_engines
from ssr_edge.bench.measure.vendor_tools.choose import VENDOR_TOOLS
from ssr_edge.bench.options import Precision, Runtime, VendorToolName
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import PRECISIONS, EngineEntry
from ssr_edge.common.errors import UsageError
from ssr_edge.common.install_hint import install_hint
from ssr_edge.runners.choose import RUNTIMES
from ssr_train.runner import FORMS


@pytest.fixture
def bundle(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A copy of the manifest that a test may change, on a machine without a GPU."""
    monkeypatch.setattr(engines, "find_gpu", lambda: None)
    return Bundle(tiny_bundle.path, tiny_bundle.manifest.model_copy(deep=True))


def _names(bundle: Bundle, runtimes: tuple[str, ...] = (), precisions: tuple[str, ...] = ()) -> list[str]:
    return [spec.name for spec in plan_engines(bundle, runtimes, precisions).specs]


def test_the_baseline_comes_first(bundle: Bundle) -> None:
    assert _names(bundle) == ["torch-fp32", "torch-folded-fp32", "onnxruntime-fp32", "openvino-fp32", "openvino-int8"]
    assert list(plan_engines(bundle).not_run) == ["torch-compile-fp32"]


def test_slow_engines_run_only_if_named(bundle: Bundle) -> None:
    assert "--runtime torch-compile" in plan_engines(bundle).not_run["torch-compile-fp32"]
    assert _names(bundle, ("torch-compile",)) == ["torch-fp32", "torch-compile-fp32"]
    assert _names(bundle, ("onnxruntime",)) == [
        *("torch-fp32", "onnxruntime-fp32", "onnxruntime-fp16", "onnxruntime-int8"),
    ]
    assert _names(bundle, ("torch",)) == ["torch-fp32"]


def test_quick_compares_the_bundles_engines(bundle: Bundle) -> None:
    plan = plan_engines(bundle, quick=True)
    assert [spec.name for spec in plan.specs] == ["torch-fp32", "openvino-fp32", "openvino-int8"]
    assert set(plan.not_run) == {"torch-folded-fp32", "torch-compile-fp32", "onnxruntime-fp32"}
    named = plan_engines(bundle, ("torch-folded",), quick=True)
    assert [spec.name for spec in named.specs] == ["torch-fp32", "torch-folded-fp32"]


def test_without_torch_openvino_is_the_baseline(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name == "torch" else find_spec(name))
    plan = plan_engines(bundle, (), ("int8",))
    assert [spec.name for spec in plan.specs] == ["openvino-fp32", "openvino-int8"]
    assert install_hint("train") in plan.not_run["torch-fp32"]


def test_filters_keep_the_baseline(bundle: Bundle) -> None:
    assert _names(bundle, ("openvino",), ("int8",)) == ["torch-fp32", "openvino-int8"]
    assert _names(bundle, ("onnxruntime",), ("fp32",)) == ["torch-fp32", "onnxruntime-fp32"]


def test_a_gpu_engine_is_listed_with_the_reason(bundle: Bundle) -> None:
    entry = EngineEntry(
        file="engines/x.plan",
        runtime="tensorrt",
        version="10.3",
        device="Orin",
        precision="int8",
        model="model.int8.onnx",
        batch=(1, 8, 32),
        build_seconds=1.0,
    )
    bundle.manifest.engines.append(entry)
    plan = plan_engines(bundle)
    assert "tensorrt-int8" not in [spec.name for spec in plan.specs]
    assert plan.not_run["tensorrt-int8"] == "no NVIDIA GPU"


def test_an_engine_that_the_bundle_lacks_is_a_usage_error(bundle: Bundle) -> None:
    with pytest.raises(UsageError) as caught:
        plan_engines(bundle, ("tensorrt",), ())
    assert "tensorrt" in caught.value.found and str(bundle.path) in caught.value.found
    assert "openvino-int8" in caught.value.expected


def test_the_options_name_every_runtime_and_precision() -> None:
    assert {runtime.value for runtime in Runtime} == {*RUNTIMES, *TORCH_FORMS}
    assert tuple(precision.value for precision in Precision) == PRECISIONS
    assert set(get_args(VendorToolName)) == set(VENDOR_TOOLS)
    assert TORCH_FORMS == FORMS


def test_the_checkpoint_counts_only_while_it_is_the_same(bundle: Bundle, tmp_path: Path) -> None:
    assert plan_engines(bundle).specs[0].trained
    changed = tmp_path / "changed.safetensors"
    shutil.copyfile(bundle.manifest.provenance.checkpoint, changed)
    changed.write_bytes(changed.read_bytes() + b" ")
    bundle.manifest.provenance.checkpoint = str(changed)
    plan = plan_engines(bundle, ("openvino",), ("int8",))
    assert not plan.specs[0].trained
    # Its labels are no longer a reference, so OpenVINO's are.
    assert [spec.name for spec in plan.specs] == ["torch-fp32", "openvino-fp32", "openvino-int8"]


def test_a_served_model_is_added_to_the_requested_engines(bundle: Bundle) -> None:
    server = "grpc://box:8001/breast"
    plan = plan_engines(bundle, ("openvino",), ("int8",), server=server)
    assert [spec.name for spec in plan.specs] == ["torch-fp32", "openvino-int8", "server-breast"]
    assert (plan.specs[-1].server, plan.specs[-1].bundle, plan.specs[-1].trained) == (server, None, True)
    with pytest.raises(UsageError) as caught:
        plan_engines(bundle, server="grpc://box:8001")
    assert "grpc://box:8001" in caught.value.found
