"""Runs real benchmarks on the smallest architecture: real engines, in real processes."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import nullcontext
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from ssr_edge.bench import options as module
from ssr_edge.bench.command import bench_and_print
from ssr_edge.bench.measure import rounds
from ssr_edge.bench.measure.engines import EngineSpec
from ssr_edge.bench.measure.process import WorkerProcess, Workers
from ssr_edge.bench.measure.schedule import QUICK, SCENARIOS
from ssr_edge.bench.options import BenchOptions, Precision, Runtime
from ssr_edge.bench.report.schema import BenchFile
from ssr_edge.bench.run import run_bench
from ssr_edge.breakhis.names import CLASSES, MALIGNANT
from ssr_edge.bundle.bundle import Bundle, write_manifest
from ssr_edge.common.errors import RuntimeUnavailable, SsrEdgeError, UsageError
from ssr_edge.images.preprocess import load
from ssr_edge.runners.choose import open_runner
from ssr_export import random_bundle as random_weights
from tests.doubles.kserve import Script, serving
from tests.edge.bench.tiny_images import TINY, write_image

pytestmark = pytest.mark.heavy

SCHEMA = Path(__file__).parents[3] / "docs" / "bench.schema.json"
# Prints "dead" and aborts when asked to measure.
_CRASHES_WHEN_TIMED = """
import os, sys
from ssr_edge.bench.measure import worker
def die(self, **_):
    print("dead", file=sys.stderr, flush=True)
    os.abort()
worker.Worker.time = die
worker.serve(sys.stdin, worker.claim_stdout())
"""


_ENGINES = ("torch-fp32", "openvino-fp32", "openvino-int8")


def _options(images: Path, json_file: str = "-") -> BenchOptions:
    return BenchOptions(images, arch=TINY, random_weights=True, batches=(1, 8), quick=True, json=json_file)


def _int8(images: Path, batches: tuple[int, ...] = ()) -> BenchOptions:
    return BenchOptions(images, runtimes=(Runtime.OPENVINO,), precisions=(Precision.INT8,), batches=batches, quick=True)


@pytest.mark.usefixtures("brief")
def test_random_weights_give_latency_only(
    tiny_bundle: Bundle,
    image_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Reuses the bundle of the fixture to save time.
    monkeypatch.setattr(random_weights, "random_bundle", lambda arch, paths, seed: nullcontext(tiny_bundle))
    options = replace(_options(image_folder, str(tmp_path / "bench.json")), html=tmp_path / "bench.html")
    bench_and_print(options)
    printed = capsys.readouterr().out
    assert "openvino-int8" in (tmp_path / "bench.html").read_text()
    assert "latency only: random weights" in printed
    assert "than torch-fp32 at batch 1" in printed
    found = json.loads((tmp_path / "bench.json").read_text())
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(found)
    assert found["command"].endswith(
        f"{image_folder} --arch {TINY} --random-weights --batch 1 --batch 8 --quick --fps 30 --seed 0"
    )
    assert {len(row["round_medians_ms"]) for row in found["results"]} == {found["rounds"]}
    assert found["accuracy"] == found["failures"] == []
    assert [row["engine"] for row in found["not_run"]] == [
        *("torch-folded-fp32", "torch-compile-fp32", "onnxruntime-fp32")
    ]
    assert found["environment"]["cores"] >= 1
    assert 0 <= found["others_share"] <= 1
    _check_results(found)
    _check_speedups(found)
    _check_noise(found)
    _check_stages_and_live(found)


def _check_results(found: dict[str, Any]) -> None:
    rows = {(row["engine"], row["scenario"], row["batch"]): row for row in found["results"]}
    scenarios = (("single-stream", 1), ("multi-stream", 8), ("offline", 1), ("offline", 8), ("end-to-end", 8))
    assert set(rows) == {(engine, *scenario) for engine in _ENGINES for scenario in scenarios}
    for row in rows.values():
        latency = row["latency_ms"]
        assert 0 < latency["p50"] <= latency["p90"] <= latency["p95"] <= latency["p99"] <= latency["max"]
        assert row["images_per_second"] > 0
        assert 20 < row["peak_rss_mb"] < 4000
        assert row["first_call_ms"] > 0
        assert row["warm_up"]["calls"] >= 2 and row["warm_up"]["seconds"] > 0


def _check_speedups(found: dict[str, Any]) -> None:
    assert len(found["speedup"]) == 5 * (len(_ENGINES) - 1)
    for row in found["speedup"]:
        assert row["over"] == "torch-fp32"
        low, high = row["ci95"]
        assert 0 < low <= row["ratio"] <= high


def _check_noise(found: dict[str, Any]) -> None:
    engines = {row["engine"] for row in found["noise"]}
    assert len(engines) == 1 and engines <= set(_ENGINES)
    assert {(row["scenario"], row["batch"]) for row in found["noise"]} == {("single-stream", 1), ("offline", 1)}
    for row in found["noise"]:
        low, high = row["ci95"]
        assert 0 < low <= row["ratio"] <= high
    # The second process of that engine appears in no other table.
    assert {row["engine"] for row in found["results"]} == set(_ENGINES) == set(found["engines"])


def _check_stages_and_live(found: dict[str, Any]) -> None:
    assert set(found["stages"]) == set(_ENGINES)
    for stages in found["stages"].values():
        assert list(stages) == ["decode", "resize", "engine", "decide"]
        assert all(ms > 0 for ms in stages.values())
    assert [row["engine"] for row in found["live"]] == list(_ENGINES)
    for row in found["live"]:
        assert (row["fps"], row["frames"]) == (30, 9)
        assert 0 <= row["dropped"] < 9
        assert row["latency_ms"]["p50"] > 0


@pytest.mark.usefixtures("brief")
def test_folded_pytorch_and_onnx_runtime_are_rows_like_others(tiny_bundle: Bundle, image_folder: Path) -> None:
    options = BenchOptions(
        image_folder,
        runtimes=(Runtime.TORCH_FOLDED, Runtime.ONNXRUNTIME),
        precisions=(Precision.FP32,),
        batches=(1,),
        quick=True,
        layers=True,
    )
    bench = run_bench(tiny_bundle, options).bench
    assert {row.engine for row in bench.speedup} == {"torch-folded-fp32", "onnxruntime-fp32"}
    assert bench.failures == []
    # The same network three times: one label for each image.
    assert [row.agreement_with_fp32 for row in bench.accuracy] == [1.0, 1.0, 1.0]
    for name, found in bench.rooflines.items():
        assert found.operations == tiny_bundle.manifest.multiply_adds
        assert {layer.block for layer in bench.layers[name].layers} >= {"stem", "stages.0.blocks.0", "classifier"}
    assert set(bench.rooflines) == {"torch-fp32", "torch-folded-fp32", "onnxruntime-fp32"}


@pytest.mark.usefixtures("brief")
def test_a_served_model_is_measured_in_every_scenario_over_the_wire(tiny_bundle: Bundle, image_folder: Path) -> None:
    with serving(Script()) as address:
        url = f"{address.server}/{address.model}"
        run = run_bench(tiny_bundle, replace(_int8(image_folder, (1, 8)), layers=True, server=url))
    bench = run.bench
    assert bench.failures == []
    rows = {name: {row.scenario for row in bench.results if row.engine == name} for name in bench.engines}
    assert rows["server-breast"] == rows["openvino-int8"] == set(SCENARIOS) - {"live"}
    assert "server-breast" in {row.engine for row in bench.live}
    assert bench.engines["server-breast"].device == address.server
    # No layers, with a reason; and the command reproduces the measurement.
    assert "server-breast" not in bench.layers
    assert any(note.startswith("server-breast: ") and "layers" in note for note in bench.notes)
    assert f" --server {url} " in bench.command
    # The server double classifies by the blue channel.
    blue = [int(load(path)[0, 0, 0]) % len(CLASSES) for path in sorted(image_folder.iterdir())]
    assert run.predictions["server-breast"].labels == blue
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(bench.model_dump(mode="json"))


def test_a_failing_server_loses_only_its_own_rows(image_folder: Path) -> None:
    spec = EngineSpec("server", "breast", server="grpc://127.0.0.1:1/breast")
    with Workers() as workers:
        assert rounds.start_engine(workers, spec, sorted(image_folder.iterdir()), (1,)) is None
    assert "grpc://127.0.0.1:1" in workers.failures["server-breast"]


def test_an_mlperf_run_lists_its_departures(
    tiny_bundle: Bundle, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half a second per row instead of ten minutes.
    brief = replace(QUICK, warm_s=0.1, turn_s=0.05, batches=(1, 2, 8), live_s=0.3, row_s=0.5)
    monkeypatch.setattr(module, "MLPERF", brief)
    run = run_bench(tiny_bundle, replace(_int8(image_folder, (8,)), quick=False, mlperf=True))
    for task, rounds_ms in run.call_ms.items():
        if task.scenario != "end-to-end":
            # A latency that keeps falling after warm-up makes a row slightly shorter than planned.
            assert sum(ms for turn in rounds_ms for ms in turn) > 200
    assert any(note.startswith("not an MLPerf result") for note in run.bench.notes)
    assert any("openvino-int8 offline classified" in note and "24,576" in note for note in run.bench.notes)
    assert "--mlperf" in run.bench.command


def _check_offline(bench: BenchFile) -> None:
    """Without --batch, offline uses a batch size that was tried while warming up."""
    tried = {row.batch for row in bench.engines["openvino-fp32"].batches}
    assert {1, 8} <= tried
    [offline] = [row.task for row in bench.results if (row.engine, row.scenario) == ("openvino-fp32", "offline")]
    assert offline.batch in tried
    # The baseline may have a different best batch; the time per image is compared.
    assert [row.over for row in bench.speedup if row.task == offline] == ["torch-fp32"]


@pytest.mark.usefixtures("brief")
def test_accuracies_and_the_best_batch_of_a_labeled_folder(
    tiny_bundle: Bundle, image_folder: Path, tmp_path: Path
) -> None:
    files = sorted(image_folder.iterdir())
    with open_runner(tiny_bundle, "openvino", "fp32") as runner:
        predicted = runner.infer(np.stack([load(path) for path in files])).logits.argmax(axis=1)
    # Six images are named after the class the network predicts, two after the next class.
    for number, (path, label) in enumerate(zip(files, predicted, strict=True)):
        name = CLASSES[label if number < 6 else (label + 1) % 8]
        malignancy = "M" if name in MALIGNANT else "B"
        shutil.copyfile(path, tmp_path / f"SOB_{malignancy}_{name}-14-1234-100-{number:03}.jpg")
    (tmp_path / "SOB_B_A-14-1234-100-100.jpg").write_bytes(b"not an image")
    run = run_bench(tiny_bundle, replace(_int8(tmp_path), precisions=(Precision.FP32,)))
    _check_offline(run.bench)
    assert [row.engine for row in run.bench.accuracy] == ["torch-fp32", "openvino-fp32"]
    confidences = [c for c in run.predictions["openvino-fp32"].confidences if c is not None]
    assert len(confidences) == 8
    assert all(1 / 8 <= confidence <= 1 for confidence in confidences)
    for row in run.bench.accuracy:
        assert (row.accuracy, row.agreement_with_fp32, row.images, row.labeled) == (0.75, 1.0, 8, 8)
        assert row.macro_f1 is not None
        assert 0 < row.macro_f1 < 1


@pytest.mark.usefixtures("brief")
def test_an_engine_that_crashes_while_timed_is_a_failed_row(
    tiny_bundle: Bundle, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The A/A process of the fastest engine crashes too, and has no row.
    sound, crashes = (
        (sys.executable, "-m", "ssr_edge.bench.measure.worker"),
        (sys.executable, "-c", _CRASHES_WHEN_TIMED),
    )
    commands = chain([sound], repeat(crashes))
    monkeypatch.setattr(rounds, "WorkerProcess", lambda: WorkerProcess(next(commands)))
    bench = run_bench(tiny_bundle, _int8(image_folder, (1,))).bench
    assert [row.engine for row in bench.failures] == ["openvino-int8"]
    assert "Aborted" in bench.failures[0].reason and bench.failures[0].reason.endswith("dead")
    assert {row.engine for row in bench.results} == {"torch-fp32"}
    assert bench.speedup == []


@pytest.mark.usefixtures("brief")
def test_when_nothing_runs_the_reasons_are_named(
    tiny_bundle: Bundle, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_bundle.path, broken)
    for name in ("model.fp32.onnx", "model.int8.onnx"):
        (broken / name).write_bytes(os.urandom(1000))
    manifest = tiny_bundle.manifest.model_copy(deep=True)
    write_manifest(broken, manifest)
    monkeypatch.setattr("ssr_edge.bench.measure.engines.find_spec", lambda _: None)
    with pytest.raises(RuntimeUnavailable) as caught:
        run_bench(Bundle.open(broken), BenchOptions(image_folder, quick=True))
    assert caught.value.exit_code == 1
    for name in ("torch-fp32", "openvino-fp32", "openvino-int8"):
        assert name in caught.value.found


@pytest.mark.parametrize(
    "changes",
    [{"arch": None}, {"random_weights": False}, {"bundle": Path("b")}, {"folder": Path("nowhere")}],
)
def test_contradictory_options_are_refused(image_folder: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        bench_and_print(replace(_options(image_folder), **changes))


def test_images_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no")
    with pytest.raises(SsrEdgeError, match="1 images"):
        bench_and_print(_options(tmp_path))


def test_written_images_differ(tmp_path: Path) -> None:
    for seed in range(2):
        write_image(tmp_path / f"{seed}.png", seed)
    assert (load(tmp_path / "0.png") != load(tmp_path / "1.png")).any()
