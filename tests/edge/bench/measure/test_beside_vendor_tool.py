"""An engine taking turns with a vendor's tool; both are test doubles here, the real tool has its own tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from ssr_edge.bench.measure import beside_vendor_tool
from ssr_edge.bench.measure.beside_vendor_tool import TURNS, run_vendor_tool
from ssr_edge.bench.measure.process import WorkerProcess, Workers
from ssr_edge.bench.measure.vendor_tools.base import VendorTimes
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import RuntimeUnavailable


class Worker:
    """Answers every turn with the same time of a call."""

    def __init__(self, ms: float) -> None:
        self.ms = ms
        self.calls: list[int] = []

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(request["calls"])
        return {"ms": [self.ms] * request["calls"], "joules": {}}

    def close(self) -> None:
        pass


class Tool:
    what = "the engine alone"

    def __init__(self, tool: str) -> None:
        self.tool = tool

    def turn(self, seconds: float) -> VendorTimes:
        return VendorTimes(self.tool, "1.2", f"{self.tool} -t 3", 10.0, None, 12.0, 300)


def workers(**engines: float) -> Workers:
    found = Workers()
    for name, ms in engines.items():
        found.running[name.replace("_", "-")] = cast(WorkerProcess, Worker(ms))
    return found


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Those asked for: name and precision."""
    asked: list[tuple[str, str]] = []

    def open_vendor_tool(name: str, bundle: Bundle, precision: str) -> Tool:
        asked.append((name, precision))
        if precision == "fp16":
            raise RuntimeUnavailable("no fp16 here", expected="fp32", next_step="--precision fp32")
        return Tool(name)

    monkeypatch.setattr(beside_vendor_tool, "open_vendor_tool", open_vendor_tool)
    return asked


def run(found: Workers, name: str) -> Any:
    return run_vendor_tool(found, name, cast(Bundle, None), [Path("a.png")], seed=0)


def test_engines_of_the_tools_runtime_are_paired_with_it(tool: list[tuple[str, str]]) -> None:
    running = workers(torch_fp32=90.0, openvino_fp32=20.0, openvino_int8=10.3)
    rows, reasons = run(running, "benchmark_app")
    assert tool == [("benchmark_app", "fp32"), ("benchmark_app", "int8")]
    assert reasons == {}
    assert [(row.engine, row.ours_ms, row.vendor_ms) for row in rows] == [
        ("openvino-fp32", 20.0, 10.0),
        ("openvino-int8", 10.3, 10.0),
    ]
    assert rows[1].ratio.ratio == pytest.approx(1.03)
    assert (rows[1].version, rows[1].command) == ("1.2", "benchmark_app -t 3")
    # Half of our calls run before the tool's turn and half after it.
    assert cast(Worker, running.running["openvino-int8"]).calls == [1, 150, *[150, 150] * (TURNS - 1)]


def test_trtexec_is_compared_by_the_mean_time_of_a_call(tool: list[tuple[str, str]]) -> None:
    rows, reasons = run(workers(tensorrt_fp16=2.0, tensorrt_int8=12.0), "trtexec")
    assert [(row.engine, row.vendor_ms, row.ratio.ratio) for row in rows] == [("tensorrt-int8", 12.0, 1.0)]
    assert reasons == {"trtexec for tensorrt-fp16": "no fp16 here (next: --precision fp32)"}


def test_a_tool_without_an_engine_to_compare_has_its_reason(tool: list[tuple[str, str]]) -> None:
    rows, reasons = run(workers(openvino_int8=10.0), "trtexec")
    assert (rows, tool) == ([], [])
    assert list(reasons) == ["trtexec"]
    assert "tensorrt" in reasons["trtexec"] and "ssr-edge doctor" in reasons["trtexec"]
    assert run_vendor_tool(workers(openvino_int8=10.0), None, cast(Bundle, None), [], seed=0) == ([], {})
