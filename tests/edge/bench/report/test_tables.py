from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from ssr_edge.bench.report.schema import AccuracyRow, BenchFile, LiveRow
from ssr_edge.bench.report.summary import headline
from ssr_edge.bench.report.tables import print_report
from ssr_edge.bench.report.write import write_json
from ssr_edge.common.errors import UsageError
from tests.edge.bench.report.reports import INT8, TORCH, make_bench, with_everything


def _bench(**fields: object) -> BenchFile:
    return make_bench({TORCH: [[60.0, 62.0], [60.0, 62.0]], INT8: [[10.0], [10.0]]}).model_copy(update=fields)


def _printed(bench: BenchFile) -> list[str]:
    file = io.StringIO()
    print_report(bench, file)
    return file.getvalue().splitlines()


def _row(lines: list[str], table: str, engine: str) -> list[str]:
    """The cells of an engine's first row in the table whose title contains `table`."""
    start = next(number for number, line in enumerate(lines) if table in line and "│" not in line)
    row = next(line for line in lines[start:] if "│" in line and engine in line)
    return [cell.strip() for cell in row.split("│")[1:-1]]


def test_speeds_accuracies_and_reasons() -> None:
    accuracy = AccuracyRow(
        engine="openvino-int8",
        macro_f1=0.91234,
        accuracy=0.92,
        agreement_with_fp32=None,
        images=200,
        labeled=190,
        labels=[0] * 200,
    )
    lines = _printed(_bench(accuracy=[accuracy], notes=["latency only: random weights"]))
    assert _row(lines, "2 rounds", "openvino-int8") == [
        *("openvino-int8", "single-stream", "1", *["10.00"] * 5, "100.0", "6.10 [6.10, 6.10]", "-")
    ]
    assert _row(lines, "accuracy on", "openvino-int8") == ["openvino-int8", "200", "190", "0.9123", "0.9200", "-"]
    assert "onnxruntime-int8 failed: its process ended with Aborted" in lines
    assert "tensorrt-int8 not run: no NVIDIA GPU" in lines
    assert "Note: latency only: random weights" in lines
    assert lines[-1] == headline(_bench())


def test_live_stages_vendor_tool_and_energy() -> None:
    lines = _printed(with_everything(_bench(), ("torch-fp32", "openvino-int8")))
    assert _row(lines, "live, 29.97 frames/s", "openvino-int8") == [
        *("openvino-int8", "12345", "12000 (97%)", "1234.50", "2345.60", "3456.70", "4567.80", "5678.90")
    ]
    assert _row(lines, "end-to-end, each stage", "torch-fp32") == ["torch-fp32", *["123.40"] * 4]
    assert _row(lines, "vendor's benchmark tool", "openvino-int8") == [
        *("openvino-int8", "benchmark_app 2026.4.1", "1234.50", "1230.10", "1.100 [1.000, 1.200]")
    ]
    start = next(number for number, line in enumerate(lines) if "millijoules per image" in line)
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines[start:] if "openvino-int8" in line]
    assert cells[:2] == [
        ["openvino-int8", "single-stream", "250.00", "-"],
        ["openvino-int8", "offline, batch 8", "-", "1500.00"],
    ]


def test_frames_without_a_label_have_no_latency() -> None:
    live = LiveRow(engine="openvino-int8", fps=30, frames=9, dropped=9, latency_ms=None)
    lines = _printed(_bench(live=[live]))
    assert _row(lines, "live, 30 frames/s", "openvino-int8") == ["openvino-int8", "9", "9 (100%)", *["-"] * 5]


def test_the_reasons_of_missing_meters_are_listed_without_energy_only() -> None:
    assert "Energy not measured: no RAPL" in _printed(_bench(no_meters=["no RAPL"]))
    measured = with_everything(_bench(no_meters=["no RAPL"]), ("torch-fp32", "openvino-int8"))
    assert not any("no RAPL" in line for line in _printed(measured))


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as caught:
        write_json(_bench(), tmp_path / "file" / "bench.json")
    assert "bench.json" in caught.value.found
    assert "--json" in caught.value.next_step


def test_the_verb_imports_nothing_heavy() -> None:
    code = (
        "import sys, ssr_edge.cli.bench;"
        "print([m for m in ('torch', 'openvino', 'onnx', 'cv2', 'numpy', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
