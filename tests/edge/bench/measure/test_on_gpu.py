"""GPU measurements of workers; the engine is a test double, its process is real."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from ssr_edge.bench.measure.on_gpu import OnGpu, ask_gpu_state, ask_on_gpu
from ssr_edge.bench.measure.phases import PhasesAt
from ssr_edge.bench.measure.process import WorkerProcess, Workers
from ssr_edge.bench.measure.rounds import Finished, finish_engines
from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.report.build import BenchRun, on_gpu_facts
from ssr_edge.bench.report.html import render
from ssr_edge.bench.report.schema import read_bench
from ssr_edge.bench.report.tables import print_report
from ssr_edge.bench.report.write import write_json
from ssr_edge.machine.energy.nvml import GpuState
from ssr_edge.runners.base import Phases
from tests.edge.bench.report.reports import INT8, TORCH, make_run, with_fields

SCHEMA = Path(__file__).parents[4] / "docs" / "bench.schema.json"
# "processor" has no GPU; "refuses" has phases but fails to time them.
_WORKER = """
import sys
import numpy as np
from ssr_edge.bench.measure import phases, worker
from ssr_edge.machine.energy.nvml import GpuState
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
    # A failure here does not count as a failure of the benchmark.
    assert workers.failures == {}


def test_without_an_engine_on_a_gpu_there_is_nothing(workers: Workers) -> None:
    for name in ("gpu", "refuses"):
        workers.running.pop(name).close()
    assert ask_gpu_state(workers, seconds=10) is None
    finished = finish_engines(workers)
    assert finished["processor"].device_mb is None
    assert ask_on_gpu(workers, finished, _TASKS, None, None) is None


def test_a_worker_that_exited_has_no_phases(workers: Workers) -> None:
    workers.running["gpu"]._process.kill()
    found = ask_on_gpu(workers, {"gpu": Finished(None, 100.0)}, _TASKS, None, None)
    assert found == OnGpu(device_mb={"gpu": 100.0}, reasons={"gpu": "its process ended with Killed"})


@pytest.fixture
def run() -> BenchRun:
    """torch-fp32 uses the GPU; openvino-int8 failed to time its phases."""
    found = OnGpu(
        phases={"torch-fp32": [PhasesAt(1, Phases(0.0312, 1.5, 0.0041, 0.25))]},
        device_mb={"torch-fp32": 512.4},
        before=_STATE,
        after=GpuState(reason="<no> package"),
        reasons={"openvino-int8": "out of [events]"},
    )
    return with_fields(make_run({TORCH: [[60.0]], INT8: [[10.0]]}), on_gpu=on_gpu_facts(found))


def test_the_tables_are_complete(run: BenchRun) -> None:
    file = io.StringIO()
    print_report(run.bench, file)
    lines = file.getvalue().splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip() == "GPU phases: ms per call")
    row = next(line for line in lines[start:] if "torch-fp32" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["torch-fp32", "1", "0.031", "1.500", "0.004", "0.250"]
    assert "torch-fp32 uses 512 MB of GPU memory" in lines
    assert any("openvino-int8" in line and line.endswith("out of [events]") for line in lines)
    assert any(line.startswith("GPU under load before the rounds: 1980 MHz") for line in lines)
    assert "GPU under load after the rounds: unknown: <no> package" in lines


def test_without_a_gpu_it_is_not_mentioned(run: BenchRun) -> None:
    without = with_fields(run, on_gpu=on_gpu_facts(None))
    file = io.StringIO()
    print_report(without.bench, file)
    assert "GPU phases" not in file.getvalue() and "GPU under load" not in file.getvalue()
    assert "On the GPU" in render(run) and "On the GPU" not in render(without)
    assert without.bench.model_dump()["on_gpu"] is None


def test_the_page_is_complete_and_escaped(run: BenchRun) -> None:
    page = render(run)
    row = next(line for line in page.splitlines() if "<td>1.500</td>" in line)
    assert "torch-fp32" in row and "<td>0.031</td>" in row and "<td>0.250</td>" in row
    assert "512 MB of GPU memory" in page and "out of [events]" in page
    assert "&lt;no&gt; package" in page and "<no>" not in page


def test_the_file_is_complete(run: BenchRun, tmp_path: Path) -> None:
    write_json(run.bench, tmp_path / "bench.json")
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
