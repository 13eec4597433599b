from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ssr_edge.bench.report.report import Report, write_json
from ssr_edge.bench.report.tables import print_report
from ssr_edge.common.errors import UsageError
from ssr_edge.evaluation.accuracy import Accuracy
from tests.edge.bench.report.reports import INT8, TORCH, make_report


def _report() -> Report:
    times = {TORCH: [[60.0, 62.0], [60.0, 62.0]], INT8: [[10.0], [10.0]]}
    accuracy = [Accuracy("openvino-int8", 0.91234, 0.92, 0.995, 200, 200)]
    return replace(make_report(times), accuracy=accuracy, notes=["latency only: random weights"])


def _printed(report: Report) -> str:
    file = io.StringIO()
    print_report(report, file)
    return file.getvalue()


def test_table_says_everything() -> None:
    text = _printed(_report())
    row = next(line for line in text.splitlines() if "openvino-int8" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        *("openvino-int8", "single-stream", "1", *["10.00"] * 5, "100.0", "6.10 [6.10, 6.10]", "-")
    ]
    assert "onnxruntime-int8 failed: its process ended with Aborted" in text
    assert "tensorrt-int8 not run here: no NVIDIA GPU" in text
    assert "0.9123" in text
    assert text.rstrip().endswith(
        "openvino-int8 is 6.1\N{MULTIPLICATION SIGN} [6.1, 6.1] faster than torch-fp32 at batch 1."
    )


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="can't be written"):
        write_json(make_report({TORCH: [[60.0]]}), tmp_path / "file" / "bench.json")


def test_the_verb_imports_nothing_heavy() -> None:
    code = (
        "import sys, ssr_edge.cli.bench; print([m for m in ('torch', 'openvino', 'onnx', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
