"""What is asked of workers about the GPU; the engine is a stand-in, its process is real."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from ssr_edge.bench.measure.on_gpu import OnGpu, ask_gpu_state, ask_on_gpu
from ssr_edge.bench.measure.phases import PhasesAt
from ssr_edge.bench.measure.process import WorkerProcess, Workers
from ssr_edge.bench.measure.rounds import Finished, finish_engines
from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.report.html import render
from ssr_edge.bench.report.report import Report, as_json, write_json
from ssr_edge.bench.report.schema import read_bench
from ssr_edge.bench.report.tables import print_report
from ssr_edge.machine.energy.nvml import GpuState
from ssr_edge.runners.base import Phases
from tests.edge.bench.report.reports import INT8, TORCH, make_report

SCHEMA = Path(__file__).parents[3] / "docs" / "bench.schema.json"
# An engine of a GPU if its name says so; one named "refuses" has phases and can't time them.
_WORKER = """
import sys
import numpy as np
from ssr_edge.bench import phases, worker
from ssr_edge.machine.energy import GpuState
from ssr_edge.runners.base import Phases
name = sys.argv[1]
class Engine:
    version, device, origin, max_batch, threads = "1", "here", "nowhere", 8, None
    def submit(self, images): return 0
    def collect(self, ticket): pass
    def infer(self, images): pass
class GpuEngine(Engine):
    def phases(self, images):
        if name == "refuses":
            raise ValueError("out of events")
        return Phases(len(images) / 4, 2.0 * len(images), 0.125, 0.5)
worker.open_engine = lambda spec, single=False: Engine() if name == "processor" else GpuEngine()
worker._load_pool = lambda paths, size: np.zeros((size, 224, 224, 3), np.uint8)
worker.device_mb = lambda: None if name == "processor" else 512.5
phases.gpu_state = lambda: GpuState(1980, 64, 71.25, ["power limit"])
worker.serve(sys.stdin, worker.claim_stdout())
"""
_TASKS = [Task("gpu", "single-stream", 1), Task("gpu", "offline", 8), Task("processor", "offline", 2)]
_STATE = GpuState(1980, 64, 71.25, ["power limit"])


@pytest.fixture
def workers() -> Iterator[Workers]:
    with Workers() as workers:
        for name in ("processor", "gpu", "refuses"):
            workers.running[name] = WorkerProcess((sys.executable, "-c", _WORKER, name))
            spec = {"runtime": "openvino", "precision": "fp32"}
            assert workers.ask(name, do="load", spec=spec, images=[], pool=8) is not None
        yield workers


def test_phases_memory_and_state_of_the_engines_on_a_gpu(workers: Workers) -> None:
    before = ask_gpu_state(workers, seconds=0.01)
    finished = finish_engines(workers)
    found = ask_on_gpu(workers, finished, _TASKS, before, None, calls=3)
    assert found == OnGpu(
        phases={"gpu": [PhasesAt(1, Phases(0.25, 2.0, 0.125, 0.5)), PhasesAt(8, Phases(2.0, 16.0, 0.125, 0.5))]},
        device_mb={"gpu": 512.5, "refuses": 512.5},
        before=_STATE,
        after=None,
        reasons={"refuses": "ValueError: out of events"},
    )
    # A failure here is none of the benchmark's.
    assert workers.failures == {}


def test_without_an_engine_on_a_gpu_there_is_nothing(workers: Workers) -> None:
    for name in ("gpu", "refuses"):
        workers.running.pop(name).close()
    assert ask_gpu_state(workers, seconds=10) is None
    finished = finish_engines(workers)
    assert finished["processor"].device_mb is None
    assert ask_on_gpu(workers, finished, _TASKS, None, None) is None


def test_a_worker_that_is_gone_costs_its_phases(workers: Workers) -> None:
    workers.running["gpu"]._process.kill()
    found = ask_on_gpu(workers, {"gpu": Finished(None, 100.0)}, _TASKS, None, None)
    assert found == OnGpu(device_mb={"gpu": 100.0}, reasons={"gpu": "its process ended with Killed"})


@pytest.fixture
def report() -> Report:
    """torch-fp32 is on the GPU; openvino-int8 failed there."""
    found = OnGpu(
        phases={"torch-fp32": [PhasesAt(1, Phases(0.0312, 1.5, 0.0041, 0.25))]},
        device_mb={"torch-fp32": 512.4},
        before=_STATE,
        after=GpuState(reason="<no> package"),
        reasons={"openvino-int8": "out of [events]"},
    )
    return replace(make_report({TORCH: [[60.0]], INT8: [[10.0]]}), on_gpu=found)


def test_the_table_has_it_all(report: Report) -> None:
    file = io.StringIO()
    print_report(report, file)
    lines = file.getvalue().splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip() == "GPU: ms a call")
    row = next(line for line in lines[start:] if "torch-fp32" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["torch-fp32", "1", "0.031", "1.500", "0.004", "0.250"]
    assert "torch-fp32 holds 512 MB on the GPU" in lines
    assert "openvino-int8: its phases were not timed: out of [events]" in lines
    assert any(line.startswith("GPU under load before the rounds: 1980 MHz") for line in lines)
    assert "GPU under load after the rounds: not known: <no> package" in lines


def test_without_a_gpu_nothing_is_said_of_it(report: Report) -> None:
    file = io.StringIO()
    print_report(replace(report, on_gpu=None), file)
    assert "GPU:" not in file.getvalue()
    assert "On the GPU" not in render(replace(report, on_gpu=None))
    assert as_json(replace(report, on_gpu=None))["on_gpu"] is None


def test_the_page_has_it_all_and_escapes_it(report: Report) -> None:
    page = render(report)
    row = next(line for line in page.splitlines() if "<td>1.500</td>" in line)
    assert "torch-fp32" in row and "<td>0.031</td>" in row and "<td>0.250</td>" in row
    assert "512 MB on the GPU" in page and "out of [events]" in page
    assert "&lt;no&gt; package" in page and "<no>" not in page


def test_the_file_has_it_all(report: Report, tmp_path: Path) -> None:
    write_json(report, tmp_path / "bench.json")
    found = json.loads((tmp_path / "bench.json").read_text())
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(found)
    assert found["on_gpu"]["engines"] == {
        "torch-fp32": {
            "device_mb": 512.4,
            "phases": [{"batch": 1, "h2d_ms": 0.0312, "compute_ms": 1.5, "d2h_ms": 0.0041, "enqueue_ms": 0.25}],
            "reason": None,
        },
        "openvino-int8": {"device_mb": None, "phases": [], "reason": "out of [events]"},
    }
    assert found["on_gpu"]["before"]["sm_clock_mhz"] == 1980
    read = read_bench(tmp_path / "bench.json")
    assert read.on_gpu is not None and read.on_gpu.after is not None
    assert read.on_gpu.after.reason == "<no> package"
