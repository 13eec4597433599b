"""The verb's arguments, its files and its exit codes; nothing is measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.bench import command
from ssr_edge.bench.report.report import Report, write_json
from ssr_edge.bench.report.schema import read_bench
from tests.edge.bench.report.reports import INT8, TORCH, make_report

Run = Callable[..., Any]


def _report(int8_ms: float) -> Report:
    return make_report({TORCH: [[60.0], [61.0], [60.5], [60.2]], INT8: [[int8_ms * f] for f in (1.0, 1.01, 0.99, 1.0)]})


@pytest.fixture
def bench(ssr_edge: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`bench(report, *arguments)`: the verb, as if it had measured that report."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command.Bundle, "newest", staticmethod(lambda: None))

    def call(report: Report, *arguments: str | Path) -> Any:
        monkeypatch.setattr(command, "run_bench", lambda bundle, options: report)
        return ssr_edge("bench", *arguments)

    return call


def test_json_on_stdout_is_json_alone(bench: Run) -> None:
    answer = bench(make_report({TORCH: [[60.0]], INT8: [[10.0]]}), "--json", "-")
    assert json.loads(answer.out)["speedup"] == [
        {
            "engine": "openvino-int8",
            "scenario": "single-stream",
            "batch": 1,
            "over": "torch-fp32",
            "ratio": 6.0,
            "ci95": [6.0, 6.0],
        }
    ]
    assert "openvino-int8" in answer.err


def test_the_page_is_written_beside_the_json(bench: Run, tmp_path: Path) -> None:
    answer = bench(_report(10), "--html", "pages/bench.html")
    assert answer.code == 0
    assert "wrote bench.json\nwrote pages/bench.html\n" in answer.out
    assert (tmp_path / "pages" / "bench.html").read_text().startswith("<!DOCTYPE html>")


def test_a_regression_has_its_exit_code_and_everything_is_written(bench: Run, tmp_path: Path) -> None:
    write_json(_report(10), tmp_path / "old.json")
    answer = bench(_report(12), "--compare", "old.json", "--max-regression", "5%", "--html", "new.html")
    assert answer.code == 5
    assert answer.err.startswith(
        "ssr-edge: worse than old.json: openvino-int8 single-stream takes 20.0% longer\n"
        "  expected: nothing worse by more than 5%\n"
    )
    assert "slower" in answer.out
    assert read_bench(tmp_path / "bench.json").results[1].latency_ms.p50 == 12
    assert (tmp_path / "new.html").exists()


@pytest.mark.parametrize("options", [[], ["--max-regression", "25%"], ["--max-regression", "20.5 %"]])
def test_what_is_within_the_limit_is_no_regression(bench: Run, tmp_path: Path, options: list[str]) -> None:
    write_json(_report(10), tmp_path / "old.json")
    answer = bench(_report(12), "--compare", "old.json", *options)
    assert answer.code == 0
    assert "Beyond noise, 1 of 1 rows are worse than in old.json, and 0 better." in answer.out


def test_json_on_stdout_sends_the_comparison_elsewhere(bench: Run, tmp_path: Path) -> None:
    write_json(_report(10), tmp_path / "old.json")
    answer = bench(_report(12), "--compare", "old.json", "--json", "-")
    assert json.loads(answer.out)["schema_version"] == 2
    assert "worse than in old.json" in answer.err


def test_the_old_run_is_never_overwritten(bench: Run, tmp_path: Path) -> None:
    write_json(_report(10), tmp_path / "bench.json")
    before = (tmp_path / "bench.json").read_bytes()
    answer = bench(_report(12), "--compare", tmp_path / "bench.json")
    assert answer.code == 2
    assert "this run would take the old one's place" in answer.err
    assert f"next: ssr-edge bench --compare {tmp_path}/bench.json --json {tmp_path}/new-bench.json" in answer.err
    assert (tmp_path / "bench.json").read_bytes() == before


def test_an_old_run_that_is_none_costs_no_time(bench: Run, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"results": []}')
    answer = bench(_report(10), "--compare", "old.json")
    assert (answer.code, answer.out) == (2, "")
    assert "old.json has no schema version" in answer.err
    assert not (tmp_path / "bench.json").exists()


@pytest.mark.parametrize(
    ("limit", "said"),
    [("5", "no percentage"), ("0.05", "no percentage"), ("-5%", "no percentage"), ("5%", "without --compare")],
)
def test_a_limit_that_makes_no_sense(bench: Run, limit: str, said: str) -> None:
    options = [] if limit == "5%" else ["--compare", "old.json"]
    answer = bench(_report(10), *options, f"--max-regression={limit}")
    assert answer.code == 2
    assert said in answer.err


def test_quick_and_mlperf_exclude_each_other(bench: Run) -> None:
    answer = bench(_report(10), "--quick", "--mlperf")
    assert answer.code == 2
    assert "--quick together with --mlperf" in answer.err
