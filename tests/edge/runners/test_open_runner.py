"""Which engine is opened, and which requests are rejected."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import BundleError, UsageError
from ssr_edge.machine import gpu
from ssr_edge.machine.gpu import Gpu
from ssr_edge.runners.choose import RUNTIMES, choose_precision, choose_runtime, open_runner


def without(bundle: Bundle, *names: str) -> Bundle:
    files = [file for file in bundle.manifest.files if file.path not in names]
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"files": files}))


def with_engines(bundle: Bundle, *runtimes: str) -> Bundle:
    engine = bundle.manifest.engines[0]
    engines = [engine.model_copy(update={"runtime": runtime, "precision": "int8"}) for runtime in runtimes]
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"engines": engines}))


def see_gpu(monkeypatch: pytest.MonkeyPatch, found: Gpu | None) -> None:
    monkeypatch.setattr(gpu, "find_gpu", lambda: found)


def test_an_unknown_runtime_is_refused_with_the_known_ones(tiny_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="'cuda'") as error:
        open_runner(tiny_bundle, "cuda", "int8")
    assert error.value.expected == ", ".join(RUNTIMES)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_precision_without_a_model_is_refused(tiny_bundle: Bundle, runtime: str) -> None:
    with pytest.raises(BundleError, match=r"model\.int4\.onnx"):
        open_runner(tiny_bundle, runtime, "int4")


def test_where_nothing_was_chosen_int8_is_taken_if_there_is_one_else_fp32(tiny_bundle: Bundle) -> None:
    unchosen = replace(tiny_bundle, manifest=tiny_bundle.manifest.model_copy(update={"chosen": {}}))
    assert choose_precision(unchosen, None) == "int8"
    assert choose_precision(without(unchosen, "model.int8.onnx"), None) == "fp32"
    assert [choose_precision(tiny_bundle, asked) for asked in ("fp32", "fp16", "int8")] == ["fp32", "fp16", "int8"]


def test_a_precision_that_the_bundle_lacks_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="int8") as error:
        choose_precision(without(tiny_bundle, "model.int8.onnx"), "int8")
    assert "fp32, bf16, fp16" in error.value.expected
    assert error.value.next_step == "ssr-edge build-engine --precision int8"


def test_auto_takes_tensorrt_only_with_a_gpu_and_an_engine(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = with_engines(tiny_bundle, "tensorrt-rtx", "tensorrt")
    see_gpu(monkeypatch, Gpu("NVIDIA Orin", "8.7", "12.6"))
    assert choose_runtime(both, "auto", "int8") == ("tensorrt", "NVIDIA Orin and an engine for it")
    assert choose_runtime(with_engines(tiny_bundle, "tensorrt-rtx"), "auto", "int8")[0] == "tensorrt-rtx"
    assert choose_runtime(both, "auto", "fp32") == ("openvino", "no TensorRT engine for NVIDIA Orin in the bundle")
    see_gpu(monkeypatch, None)
    assert choose_runtime(both, "auto", "int8") == ("openvino", "no NVIDIA GPU")


def test_a_runtime_asked_for_is_taken(tiny_bundle: Bundle) -> None:
    assert choose_runtime(tiny_bundle, "onnxruntime", "int8") == ("onnxruntime", "asked for")
