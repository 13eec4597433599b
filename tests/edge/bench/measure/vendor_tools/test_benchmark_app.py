"""The real benchmark_app on a real bundle, and the errors without it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from ssr_edge.bench.measure.vendor_tools import benchmark_app
from ssr_edge.bench.measure.vendor_tools.choose import open_vendor_tool
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import BundleError, RuntimeUnavailable, UsageError
from ssr_edge.runners.openvino.core import openvino_version
from tests.no_network import NO_NETWORK


def test_it_times_the_bundles_model_and_reports_to_nobody(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    monkeypatch.setenv("CONNECTIONS", str(tmp_path / "log"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # On CI openvino-telemetry disables itself.
    monkeypatch.delenv("CI", raising=False)
    times = open_vendor_tool("benchmark_app", tiny_bundle, "int8").turn(0.5)
    assert not (tmp_path / "log").exists()
    assert not list((tmp_path / "home").iterdir())
    assert (times.tool, times.version, times.p90_ms) == ("benchmark_app", openvino_version(), None)
    assert times.calls > 1
    # Its loop runs for a second, and a little more where a call was under way.
    assert times.calls * times.mean_call_ms >= 1000 - 1
    assert 0 < times.median_ms < 1000
    assert f"-m {tiny_bundle.path}/model.int8.onnx -d CPU -hint latency -infer_precision f32 -api sync" in times.command
    assert times.command.endswith("-shape '[1,224,224,3]' -t 1")


@pytest.mark.parametrize(("printed", "median"), [("512.34 us", 0.51234), ("14.02 ms", 14.02)])
def test_its_figures_are_ms_however_it_prints_them(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, printed: str, median: float
) -> None:
    output = (
        "[ INFO ] OpenVINO:\n"
        "[ INFO ] Build ................................. 2025.2.0-19140-c01cd93e24d-releases/2025/2\n"
        "[ INFO ] Count:            60 iterations\n"
        "[ INFO ] Duration:         900.00 ms\n"
        "[ INFO ] Latency:\n"
        f"[ INFO ]    Median:        {printed}\n"
        f"[ INFO ]    Average:       {printed}\n"
        "[ INFO ] Throughput:   66.67 FPS\n"
    )
    monkeypatch.setattr(benchmark_app, "run_tool", lambda *_: output)
    times = open_vendor_tool("benchmark_app", tiny_bundle, "fp32").turn(3)
    assert times.median_ms == pytest.approx(median)
    assert (times.version, times.calls, times.mean_call_ms) == ("2025.2.0", 60, 15)


def test_its_own_error_is_the_reason(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = open_vendor_tool("benchmark_app", tiny_bundle, "int8")
    monkeypatch.setattr(tool, "_command", [*tool._command, "-nstreams", "2"])  # type: ignore[attr-defined]
    with pytest.raises(RuntimeUnavailable) as caught:
        tool.turn(1)
    assert "-nstreams, -nthreads and -pin options are fine tune options" in caught.value.found
    assert "exit code 1" in caught.value.found


def test_this_pythons_tool_goes_before_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("env", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "benchmark_app").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "other"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "python"))
    assert benchmark_app._find_tool() == [str(tmp_path / "env" / "benchmark_app")]
    (tmp_path / "env" / "benchmark_app").unlink()
    assert benchmark_app._find_tool() == [str(tmp_path / "other" / "benchmark_app")]


def test_without_its_script_the_module_is_run(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert open_vendor_tool("benchmark_app", tiny_bundle, "int8").turn(1).calls > 1
    monkeypatch.setattr(benchmark_app, "find_spec", lambda _: None)
    with pytest.raises(RuntimeUnavailable) as caught:
        benchmark_app._find_tool()
    assert "benchmark_app" in caught.value.found
    assert caught.value.next_step == "pip install openvino"


def test_what_it_can_not_run_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(UsageError) as unknown:
        open_vendor_tool("perf", tiny_bundle, "int8")
    assert "'perf'" in unknown.value.found
    assert unknown.value.expected == "benchmark_app, trtexec"
    with pytest.raises(BundleError) as missing:
        open_vendor_tool("benchmark_app", tiny_bundle, "int4")
    assert "model.int4.onnx" in missing.value.found
