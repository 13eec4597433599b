"""The arguments, files and exit codes of `ssr-edge bench`; nothing is measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.bench import command
from ssr_edge.bench.options import BenchOptions, Precision, Runtime
from ssr_edge.bench.report.build import BenchRun
from ssr_edge.bench.report.schema import read_bench
from ssr_edge.bench.report.write import write_json
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.demo import DEMO_IMAGES
from tests.edge.bench.report.reports import INT8, TORCH, make_run

Run = Callable[..., Any]


def _run(int8_ms: float) -> BenchRun:
    return make_run({TORCH: [[60.0], [61.0], [60.5], [60.2]], INT8: [[int8_ms * f] for f in (1.0, 1.01, 0.99, 1.0)]})


@pytest.fixture
def bench(ssr_edge: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`bench(run, *arguments)`: the verb, as if it had measured that run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Bundle, "newest", staticmethod(lambda: None))

    def call(run: BenchRun, *arguments: str | Path) -> Any:
        monkeypatch.setattr(command, "run_bench", lambda bundle, options: run)
        return ssr_edge("bench", *arguments)

    return call


def test_json_on_stdout_is_json_alone(bench: Run) -> None:
    answer = bench(make_run({TORCH: [[60.0]], INT8: [[10.0]]}), "--json", "-")
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
    answer = bench(_run(10), "--html", "pages/bench.html")
    assert answer.code == 0
    assert "wrote bench.json\nwrote pages/bench.html\n" in answer.out
    assert (tmp_path / "pages" / "bench.html").read_text().startswith("<!DOCTYPE html>")


def test_a_regression_has_its_exit_code_and_everything_is_written(bench: Run, tmp_path: Path) -> None:
    write_json(_run(10).bench, tmp_path / "old.json")
    answer = bench(_run(12), "--compare", "old.json", "--max-regression", "5%", "--html", "new.html")
    assert answer.code == 5
    found, expected = answer.err.splitlines()[:2]
    assert "old.json" in found and "openvino-int8 single-stream" in found and "20.0%" in found
    assert expected.startswith("  expected: ") and "5%" in expected
    assert "slower" in answer.out
    assert read_bench(tmp_path / "bench.json").results[1].latency_ms.p50 == 12
    assert (tmp_path / "new.html").exists()


@pytest.mark.parametrize("options", [[], ["--max-regression", "25%"], ["--max-regression", "20.5 %"]])
def test_what_is_within_the_limit_is_no_regression(bench: Run, tmp_path: Path, options: list[str]) -> None:
    write_json(_run(10).bench, tmp_path / "old.json")
    answer = bench(_run(12), "--compare", "old.json", *options)
    assert answer.code == 0
    assert "1 of 1 rows are worse than in old.json and 0 are better" in answer.out


def test_json_on_stdout_sends_the_comparison_elsewhere(bench: Run, tmp_path: Path) -> None:
    write_json(_run(10).bench, tmp_path / "old.json")
    answer = bench(_run(12), "--compare", "old.json", "--json", "-")
    assert json.loads(answer.out)["schema_version"] == 3
    assert "worse than in old.json" in answer.err


def test_the_old_run_is_never_overwritten(bench: Run, tmp_path: Path) -> None:
    write_json(_run(10).bench, tmp_path / "bench.json")
    before = (tmp_path / "bench.json").read_bytes()
    answer = bench(_run(12), "--compare", tmp_path / "bench.json")
    assert answer.code == 2
    assert f"--compare and --json both name {tmp_path}/bench.json" in answer.err
    assert f"next: ssr-edge bench --compare {tmp_path}/bench.json --json {tmp_path}/new-bench.json" in answer.err
    assert (tmp_path / "bench.json").read_bytes() == before


def test_an_unreadable_old_run_is_refused_before_measuring(bench: Run, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"results": []}')
    answer = bench(_run(10), "--compare", "old.json")
    assert (answer.code, answer.out) == (2, "")
    assert "old.json has no schema version" in answer.err
    assert not (tmp_path / "bench.json").exists()


@pytest.mark.parametrize(
    ("limit", "found"), [("5", "'5'"), ("0.05", "'0.05'"), ("-5%", "'-5%'"), ("5%", "without --compare")]
)
def test_an_invalid_limit(bench: Run, limit: str, found: str) -> None:
    options = [] if limit == "5%" else ["--compare", "old.json"]
    answer = bench(_run(10), *options, f"--max-regression={limit}")
    assert answer.code == 2
    assert "--max-regression" in answer.err and found in answer.err


def test_quick_and_mlperf_exclude_each_other(bench: Run) -> None:
    answer = bench(_run(10), "--quick", "--mlperf")
    assert answer.code == 2
    assert "--quick together with --mlperf" in answer.err


@pytest.mark.parametrize(
    ("option", "typo"),
    [("--runtime", "openvine"), ("--precision", "int4"), ("--vendor-tool", "perf"), ("--peer", "perf")],
)
def test_a_typo_in_a_name_is_refused_before_measuring(bench: Run, tmp_path: Path, option: str, typo: str) -> None:
    answer = bench(_run(10), option, typo)
    assert (answer.code, answer.out) == (2, "")
    assert typo in answer.err
    assert not (tmp_path / "bench.json").exists()


def test_every_option_reaches_the_benchmark(ssr_edge: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[BenchOptions] = []
    monkeypatch.setattr(command, "bench_and_print", asked.append)
    words = (
        f"{tmp_path} --bundle b --runtime openvino --runtime torch --precision int8 --batch 8 --batch 1 --batch 8 "
        "--quick --mlperf --fps 12.5 --vendor-tool trtexec --server grpc://h:1/m --layers --json j.json --html h.html "
        "--compare o.json --max-regression 5% --arch a --random-weights --seed 7"
    )
    assert ssr_edge("bench", *words.split()).code == 0
    assert asked == [
        BenchOptions(
            folder=tmp_path,
            bundle=Path("b"),
            arch="a",
            random_weights=True,
            runtimes=(Runtime.OPENVINO, Runtime.TORCH),
            precisions=(Precision.INT8,),
            batches=(8, 1),
            quick=True,
            mlperf=True,
            fps=12.5,
            vendor_tool="trtexec",
            server="grpc://h:1/m",
            layers=True,
            seed=7,
            json="j.json",
            html=Path("h.html"),
            compare=Path("o.json"),
            max_regression="5%",
        )
    ]


def test_peer_is_an_older_name_of_vendor_tool(ssr_edge: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[BenchOptions] = []
    monkeypatch.setattr(command, "bench_and_print", asked.append)
    assert ssr_edge("bench", "--peer", "benchmark_app").code == 0
    assert asked == [BenchOptions(folder=DEMO_IMAGES, vendor_tool="benchmark_app")]
