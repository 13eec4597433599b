"""Makes reports without measuring anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ssr_edge.bench.accuracy import Predicted, judge
from ssr_edge.bench.engines import BASELINES
from ssr_edge.bench.measure import Finished, Loaded, Warm
from ssr_edge.bench.report import Report, summarise_times
from ssr_edge.bench.schedule import Task
from ssr_edge.bench.schema import BundleFacts
from ssr_edge.environment import machine_facts
from ssr_edge.labels import ImagesWithTruth

# Of this machine, looked up once.
_FACTS = machine_facts()
TORCH, INT8 = Task("torch-fp32", "single-stream", 1), Task("openvino-int8", "single-stream", 1)


def make_report(times: Mapping[Task, list[list[float]]], others_share: float | None = 0.01) -> Report:
    """A report of these call times, without images."""
    engines = {task.engine for task in times}
    finished = {name: Finished(None, others_share) for name in engines}
    results, speedups = summarise_times(times, {task: Warm(90.0, 10.0) for task in times}, finished, seed=0)
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
