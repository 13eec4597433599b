"""The health check, with TensorRT, pycuda and the GPU removed one at a time."""

from __future__ import annotations

import sys

import pytest

from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.machine.gpu import Gpu
from ssr_edge.runners import health as ready
from ssr_edge.runners.choose import RUNTIMES
from ssr_edge.runners.health import check_runtime
from tests.doubles.api import RTX
from tests.doubles.install import install
from tests.doubles.machine import Machine


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "find_gpu", lambda: Gpu("NVIDIA Orin", "8.7", "12.6"))


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_what_runs_on_the_cpu_is_ready_here(runtime: str) -> None:
    check_runtime(runtime)


@pytest.mark.parametrize(("version", "runtime"), [("10.3.0", "tensorrt"), (RTX, "tensorrt-rtx")])
def test_tensorrt_is_ready_and_no_context_was_made_to_see_it(
    version: str, runtime: str, gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, version, Machine())
    monkeypatch.setitem(sys.modules, "pycuda.autoprimaryctx", None)
    check_runtime(runtime)


def test_a_gpu_that_was_taken_away_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "10.3.0", Machine())
    monkeypatch.setattr(ready, "find_gpu", lambda: None)
    with pytest.raises(RuntimeUnavailable, match="NVIDIA GPU") as raised:
        check_runtime("tensorrt")
    assert "--runtime nvidia" in raised.value.next_step


@pytest.mark.parametrize("missing", ["tensorrt", "pycuda.driver"])
def test_a_missing_package_is_named(missing: str, gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "10.3.0", Machine())
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(RuntimeUnavailable, match=missing.partition(".")[0]):
        check_runtime("tensorrt")


def test_every_runtime_can_be_asked_for() -> None:
    assert tuple(ready._CHECKS) == RUNTIMES
