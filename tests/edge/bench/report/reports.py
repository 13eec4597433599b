"""Builds reports without measuring anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ssr_edge.bench.measure.engines import BASELINES
from ssr_edge.bench.measure.rounds import Loaded, Warm
from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.measure.stages import STAGES
from ssr_edge.bench.measure.statistics import Percentiles
from ssr_edge.bench.profile.cost import BlockCost
from ssr_edge.bench.profile.layers import LayerTime, Profile
from ssr_edge.bench.profile.peaks import Peaks
from ssr_edge.bench.profile.roofline import roofline
from ssr_edge.bench.report.build import (
    METHOD,
    BenchRun,
    accuracy_rows,
    engine_facts,
    is_disturbed,
    reasons,
    result_rows,
    speedup_rows,
)
from ssr_edge.bench.report.schema import (
    BatchTime,
    BenchFile,
    BundleFacts,
    EnergyRow,
    Environment,
    Images,
    LiveRow,
    NoiseRow,
    VendorToolRow,
)
from ssr_edge.breakhis.labels import ImagesWithTruth
from ssr_edge.evaluation.accuracy import Predicted, evaluate_labels
from ssr_edge.machine.environment import machine_facts

# Of this machine, read once.
_ENVIRONMENT = Environment.model_validate(machine_facts())
TORCH, INT8 = Task("torch-fp32", "single-stream", 1), Task("openvino-int8", "single-stream", 1)
Rounds = list[list[float]]


def make_bench(times: Mapping[Task, Rounds], others_share: float | None = 0.01) -> BenchFile:
    """A report of these call durations, without images."""
    names = dict.fromkeys(task.engine for task in times)
    warm = {task: Warm(90.0, 10.0) for task in times}
    return BenchFile(
        created="2026-01-02T03:04:05+00:00",
        command="ssr-edge bench images --seed 0",
        bundle=BundleFacts(name="tiny", created="2026-01-01T00:00:00+00:00", checkpoint_sha256="ab" * 32),
        environment=_ENVIRONMENT,
        images=Images(folder="images", sha256="cd" * 32, truth=[]),
        results=result_rows(times, warm, dict.fromkeys(names)),
        speedup=speedup_rows(times, seed=0),
        noise=[],
        live=[],
        stages={},
        energy=[],
        meters={},
        no_meters=[],
        vendor_tools=[],
        layers={},
        rooflines={},
        accuracy=[],
        engines=engine_facts({name: Loaded("1.0", "CPU", "a file", 1024, 12.0) for name in names}, {}),
        failures=reasons({"onnxruntime-int8": "its process ended with Aborted"}),
        not_run=reasons({"tensorrt-int8": "no NVIDIA GPU"}),
        notes=["a note"],
        rounds=2,
        others_share=others_share,
        disturbed=is_disturbed(others_share),
        method=METHOD,
    )


def make_run(times: Mapping[Task, Rounds], others_share: float | None = 0.01) -> BenchRun:
    """A run with these call durations, without images."""
    return BenchRun(make_bench(times, others_share), times, ImagesWithTruth([], [], 0), {})


def with_fields(run: BenchRun, **fields: object) -> BenchRun:
    """The run with other fields in its report."""
    return replace(run, bench=run.bench.model_copy(update=fields))


def with_labels(
    run: BenchRun, paths: Sequence[Path], truth: Sequence[int | None], predictions: Mapping[str, Predicted]
) -> BenchRun:
    """The run with images and each engine's predictions for them."""
    reference = next((predictions[name].labels for name in BASELINES if name in predictions), None)
    accuracies = [evaluate_labels(name, found.labels, truth, reference) for name, found in predictions.items()]
    run = replace(run, images=ImagesWithTruth(list(paths), list(truth), 0), predictions=dict(predictions))
    images = run.bench.images.model_copy(update={"truth": list(truth)})
    return with_fields(run, images=images, accuracy=accuracy_rows(accuracies, predictions))


def with_everything(bench: BenchFile, engines: Sequence[str]) -> BenchFile:
    """The report with every optional section: noise, live, stages, vendor tool, energy, layers and rooflines."""
    blocks = ["stem", *(f"stages.{stage}.blocks.{block}" for stage in range(4) for block in range(6)), "classifier"]
    profile = Profile([LayerTime(f"{block}/conv", "Convolution", block, 123.456, "int8") for block in blocks], 20)
    costs = [
        BlockCost(block, {"int8": 104_366_080 * (n + 1)}, 22_560, 7_025_216) for n, block in enumerate(blocks[:-1])
    ]
    costs.append(BlockCost(blocks[-1], {"int8": 16_384}, 16_384, 2_056))
    peaks = Peaks({"fp32": 84.5e9, "int8": 149e9}, 9.7e9, 41.2e9)
    latency = Percentiles(1234.5, 2345.6, 3456.7, 4567.8, 5678.9)
    command = "benchmark_app -m a_folder/with_a_long_name/model.int8.onnx -d CPU -hint latency -api sync -t 3"
    batches = [BatchTime(batch=2**power, ms=1234.5 * 2**power) for power in range(8)]
    last = engines[-1]
    return bench.model_copy(
        update={
            "engines": {name: e.model_copy(update={"batches": batches}) for name, e in bench.engines.items()},
            "noise": [NoiseRow(engine=last, scenario="offline", batch=128, ratio=1.01, ci95=(0.5, 9.0))],
            "live": [
                LiveRow(engine=name, fps=29.97, frames=12345, dropped=12000, latency_ms=latency) for name in engines
            ],
            "stages": {name: dict.fromkeys(STAGES, 123.4) for name in engines},
            "energy": [
                EnergyRow(engine=last, scenario="single-stream", batch=1, meter="package-0", joules_per_image=0.25),
                EnergyRow(engine=last, scenario="offline", batch=8, meter="gpu board", joules_per_image=1.5),
            ],
            "meters": {"package-0": "the processor package", "gpu board": "the graphics card"},
            "vendor_tools": [
                VendorToolRow(
                    engine=last,
                    tool="benchmark_app",
                    version="2026.4.1",
                    command=command,
                    what="the engine alone",
                    ours_ms=1234.5,
                    vendor_ms=1230.1,
                    ratio=1.1,
                    ci95=(1.0, 1.2),
                )
            ],
            "layers": dict.fromkeys(engines[:2], profile),
            "rooflines": {name: roofline(costs, peaks, 3210.9, profile) for name in engines[:2]},
        }
    )
