from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ssr_edge.bench import command
from ssr_edge.bench.accuracy import Accuracy
from ssr_edge.bench.measure import Finished, Warm
from ssr_edge.bench.report import Report, as_json, summarise_times, write_json
from ssr_edge.bench.schedule import Task
from ssr_edge.bench.table import print_report, summary
from ssr_edge.errors import UsageError

_TORCH, _INT8 = Task("torch-fp32", "single-stream", 1), Task("openvino-int8", "single-stream", 1)


def _report(times: dict[Task, list[list[float]]], others_share: float | None = 0.01) -> Report:
    finished = {task.engine: Finished(None, others_share) for task in times}
    results, speedups = summarise_times(times, {task: Warm(90.0, 10.0) for task in times}, finished, seed=0)
    return Report(
        environment={"cpu": "test"},
        engines={},
        results=results,
        speedups=speedups,
        accuracy=[Accuracy("openvino-int8", 0.91234, 0.92, 0.995, 200, 200)],
        failures={"onnxruntime-int8": "its process ended with Aborted"},
        not_run={"tensorrt-int8": "no NVIDIA GPU"},
        notes=["latency only: random weights"],
        rounds=2,
        others_share=others_share,
    )


def _printed(report: Report) -> str:
    file = io.StringIO()
    print_report(report, file)
    return file.getvalue()


def test_table_says_everything() -> None:
    text = _printed(_report({_TORCH: [[60.0, 62.0], [60.0, 62.0]], _INT8: [[10.0], [10.0]]}))
    row = next(line for line in text.splitlines() if "openvino-int8" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        *("openvino-int8", "single-stream", "1", "10.00", "10.00", "10.00", "100.0", "6.10 [6.10, 6.10]", "-")
    ]
    assert "onnxruntime-int8 failed: its process ended with Aborted" in text
    assert "tensorrt-int8 not run here: no NVIDIA GPU" in text
    assert "0.9123" in text
    assert text.rstrip().endswith(
        "openvino-int8 is 6.1\N{MULTIPLICATION SIGN} [6.1, 6.1] faster than torch-fp32 at batch 1."
    )


def test_summary_never_calls_a_slower_engine_faster() -> None:
    assert summary(_report({_TORCH: [[10.0]], _INT8: [[20.0]]})).startswith("No engine is faster than torch-fp32")


def test_a_disturbed_machine_is_said_in_the_sentence_that_people_quote() -> None:
    times = {_TORCH: [[60.0]], _INT8: [[10.0]]}
    quiet, disturbed, unknown = (_report(times, share) for share in (0.04, 0.37, None))
    assert summary(quiet).startswith("openvino-int8 is 6.0")
    assert summary(unknown).startswith("openvino-int8 is 6.0")
    assert summary(disturbed).startswith(
        "Not reliable: other programs took 37% of the processor meanwhile. openvino-int8"
    )
    assert (as_json(disturbed)["disturbed"], as_json(quiet)["disturbed"]) == (True, False)


def test_summary_without_a_baseline() -> None:
    assert summary(_report({_INT8: [[20.0]]})) == "There is no other engine than the baseline to compare."


def test_json_on_stdout_is_json_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = _report({_TORCH: [[60.0]], _INT8: [[10.0]]})
    monkeypatch.setattr(command, "run_bench", lambda bundle, options: report)
    monkeypatch.setattr(command.Bundle, "newest", staticmethod(lambda: None))
    command.bench_and_print(command.BenchRequest(tmp_path, None, None, False, (), (), (1,), True, "-", 0))
    out, err = capsys.readouterr()
    assert json.loads(out)["speedup"] == [
        {
            "engine": "openvino-int8",
            "scenario": "single-stream",
            "batch": 1,
            "over": "torch-fp32",
            "ratio": 6.0,
            "ci95": [6.0, 6.0],
        }
    ]
    assert "openvino-int8" in err


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="can't be written"):
        write_json(_report({_TORCH: [[60.0]]}), tmp_path / "file" / "bench.json")


def test_the_verb_imports_nothing_heavy() -> None:
    code = (
        "import sys, ssr_edge.cli.bench; print([m for m in ('torch', 'openvino', 'onnx', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
