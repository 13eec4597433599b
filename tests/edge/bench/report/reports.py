"""Makes reports without measuring anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ssr_edge.bench.measure.beside_vendor_tool import BesideVendorTool
from ssr_edge.bench.measure.engines import BASELINES
from ssr_edge.bench.measure.rounds import Loaded, Warm
from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.measure.stages import STAGES
from ssr_edge.bench.measure.statistics import Percentiles, Ratio
from ssr_edge.bench.profile.cost import BlockCost
from ssr_edge.bench.profile.layers import LayerTime, Profile
from ssr_edge.bench.profile.peaks import Peaks
from ssr_edge.bench.profile.roofline import roofline
from ssr_edge.bench.report.report import Live, Noise, Report, summarize_times
from ssr_edge.bench.report.schema import BundleFacts
from ssr_edge.breakhis.labels import ImagesWithTruth
from ssr_edge.evaluation.accuracy import Predicted, judge
from ssr_edge.machine.environment import machine_facts

# Of this machine, looked up once.
_FACTS = machine_facts()
TORCH, INT8 = Task("torch-fp32", "single-stream", 1), Task("openvino-int8", "single-stream", 1)


def make_report(times: Mapping[Task, list[list[float]]], others_share: float | None = 0.01) -> Report:
    """A report of these call times, without images."""
    engines = {task.engine for task in times}
    warm = {task: Warm(90.0, 10.0) for task in times}
    results, speedups = summarize_times(times, warm, dict.fromkeys(engines), seed=0)
    return Report(
        created="2026-01-02T03:04:05+00:00",
        command="ssr-edge bench images --seed 0",
        bundle=BundleFacts(name="tiny", created="2026-01-01T00:00:00+00:00", checkpoint_sha256="ab" * 32),
        environment=_FACTS,
        folder=Path("images"),
        images=ImagesWithTruth([], [], 0),
        images_sha256="cd" * 32,
        predictions={},
        engines={name: Loaded("1.0", "CPU", "a file", 1024, 12.0) for name in engines},
        results=results,
        speedups=speedups,
        accuracy=[],
        failures={"onnxruntime-int8": "its process ended with Aborted"},
        not_run={"tensorrt-int8": "no NVIDIA GPU"},
        notes=["a note"],
        rounds=2,
        others_share=others_share,
    )


def with_everything(report: Report, engines: Sequence[str]) -> Report:
    """The report with every section that it can have: noise, live, stages, a vendor's tool, layers and rooflines."""
    blocks = ["stem", *(f"stages.{stage}.blocks.{block}" for stage in range(4) for block in range(6)), "classifier"]
    profile = Profile([LayerTime(f"{block}/conv", "Convolution", block, 123.456, "int8") for block in blocks], 20)
    costs = [
        BlockCost(block, {"int8": 104_366_080 * (n + 1)}, 22_560, 7_025_216) for n, block in enumerate(blocks[:-1])
    ]
    costs.append(BlockCost(blocks[-1], {"int8": 16_384}, 16_384, 2_056))
    peaks = Peaks({"fp32": 84.5e9, "int8": 149e9}, 9.7e9, 41.2e9)
    latency = Percentiles(1234.5, 2345.6, 3456.7, 4567.8, 5678.9)
    tool = "benchmark_app -m a_folder/with_a_long_name/model.int8.onnx -d CPU -hint latency -api sync -t 3"
    return replace(
        report,
        batch_ms={name: {2**power: 1234.5 * 2**power for power in range(8)} for name in engines},
        noise=[Noise(Task(engines[-1], "offline", 128), Ratio(1.01, 0.5, 9.0))],
        live=[Live(name, 29.97, 12345, 12000, latency) for name in engines],
        stages={name: dict.fromkeys(STAGES, 123.4) for name in engines},
        peers=[
            BesideVendorTool(
                engines[-1], "benchmark_app", "2026.4.1", tool, "all", 1234.5, 1230.1, Ratio(1.1, 1.0, 1.2)
            )
        ],
        profiles=dict.fromkeys(engines[:2], profile),
        rooflines={name: roofline(costs, peaks, "int8", 3210.9, profile) for name in engines[:2]},
    )


def judged(
    report: Report, paths: Sequence[Path], truth: Sequence[int | None], predictions: Mapping[str, Predicted]
) -> Report:
    """The report with images and what engines said of them."""
    reference = next((predictions[name].labels for name in BASELINES if name in predictions), None)
    return replace(
        report,
        images=ImagesWithTruth(list(paths), list(truth), 0),
        predictions=dict(predictions),
        accuracy=[judge(name, found.labels, truth, reference) for name, found in predictions.items()],
    )
