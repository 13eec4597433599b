"""Builds the rows of bench.json from the measurements."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ssr_edge.bench.measure.beside_vendor_tool import BesideVendorTool
from ssr_edge.bench.measure.engines import BASELINES
from ssr_edge.bench.measure.on_gpu import OnGpu
from ssr_edge.bench.measure.rounds import Loaded, Times, Warm
from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.measure.statistics import Ratio, paired_speedup, percentiles
from ssr_edge.bench.report.schema import (
    AccuracyRow,
    BatchTime,
    BenchFile,
    EngineFacts,
    EngineOnGpu,
    NoiseRow,
    OnGpuFacts,
    PhasesRow,
    Reason,
    ResultRow,
    SpeedupRow,
    VendorToolRow,
    WarmUp,
)
from ssr_edge.breakhis.labels import ImagesWithTruth
from ssr_edge.evaluation.accuracy import Accuracy, Predicted

METHOD = (
    "Timed: uint8 BGR 224x224 images in host memory -> probabilities in host memory, one call at a time, including "
    "normalization; multi-stream: queries of 8; end-to-end: image files -> labels; live: frame -> label. "
    "One process per engine; engines take turns while all others are idle."
)

# An idle desktop uses 1 to 2 %.
DISTURBED_SHARE = 0.05


@dataclass(frozen=True)
class BenchRun:
    """A benchmark's report, and the data that the HTML page shows beyond it.

    call_ms: duration of every call, by round. predictions: by engine, of `images`; empty for random weights.
    """

    bench: BenchFile
    call_ms: Mapping[Task, Times]
    images: ImagesWithTruth
    predictions: Mapping[str, Predicted]


def result_rows(
    times: Mapping[Task, Times], warm: Mapping[Task, Warm], peak_rss_mb: Mapping[str, float | None]
) -> list[ResultRow]:
    """One row per task. peak_rss_mb: by engine."""
    return [_result(task, rounds, warm[task], peak_rss_mb[task.engine]) for task, rounds in times.items()]


def _result(task: Task, rounds: Times, warm: Warm, peak_rss_mb: float | None) -> ResultRow:
    latency = percentiles([ms for turn in rounds for ms in turn])
    return ResultRow(
        **asdict(task),
        latency_ms=latency,
        images_per_second=task.images_a_call * 1000 / latency.p50,
        peak_rss_mb=peak_rss_mb,
        first_call_ms=warm.first_ms,
        warm_up=WarmUp(calls=warm.calls, seconds=round(warm.seconds, 3)),
        calls=sum(map(len, rounds)),
        round_medians_ms=[round(float(np.median(turn)), 4) for turn in rounds],
    )


def speedup_rows(times: Mapping[Task, Times], seed: int) -> list[SpeedupRow]:
    """Compares each task with the baseline's task: PyTorch FP32, otherwise OpenVINO FP32."""
    present = {task.engine for task in times}
    baseline = next((name for name in BASELINES if name in present), None)
    rows = []
    for task, rounds in times.items():
        base = None if task.engine == baseline else counterpart(task, baseline, times)
        if base is not None:
            ratio = paired_speedup(_per_image(base, times[base]), _per_image(task, rounds), seed)
            rows.append(SpeedupRow(**asdict(task), over=base.engine, ratio=ratio.ratio, ci95=(ratio.low, ratio.high)))
    return rows


def counterpart(task: Task, engine: str | None, tasks: Collection[Task]) -> Task | None:
    """The engine's task to compare with: same scenario and batch, otherwise its only task of the scenario.

    In the offline scenario each engine runs at its own best batch, so batches differ.
    """
    same = [other for other in tasks if (other.engine, other.scenario) == (engine, task.scenario)]
    exact = [other for other in same if other.batch == task.batch]
    return exact[0] if exact else same[0] if len(same) == 1 else None


def _per_image(task: Task, rounds: Times) -> Times:
    return [[ms / task.images_a_call for ms in turn] for turn in rounds]


def noise_rows(pairs: Mapping[Task, Ratio]) -> list[NoiseRow]:
    """One row per A/A pair."""
    return [NoiseRow(**asdict(task), ratio=r.ratio, ci95=(r.low, r.high)) for task, r in pairs.items()]


def vendor_tool_rows(rows: Sequence[BesideVendorTool]) -> list[VendorToolRow]:
    """One row per engine that was compared with a vendor tool."""
    return [
        VendorToolRow(**asdict(row) | {"ratio": row.ratio.ratio, "ci95": (row.ratio.low, row.ratio.high)})
        for row in rows
    ]


def accuracy_rows(rows: Sequence[Accuracy], predictions: Mapping[str, Predicted]) -> list[AccuracyRow]:
    """Accuracies with the labels they were computed from."""
    return [AccuracyRow(**asdict(row), labels=predictions[row.engine].labels) for row in rows]


def engine_facts(loaded: Mapping[str, Loaded], batch_ms: Mapping[str, Mapping[int, float]]) -> dict[str, EngineFacts]:
    """Engines by name. batch_ms: by engine, time per call at each batch size tried."""
    return {
        name: EngineFacts(
            **asdict(engine), batches=[BatchTime(batch=batch, ms=ms) for batch, ms in batch_ms.get(name, {}).items()]
        )
        for name, engine in loaded.items()
    }


def reasons(by_engine: Mapping[str, str]) -> list[Reason]:
    """One row per engine."""
    return [Reason(engine=name, reason=reason) for name, reason in by_engine.items()]


def on_gpu_facts(found: OnGpu | None) -> OnGpuFacts | None:
    """GPU measurements by engine."""
    if found is None:
        return None
    engines = {
        name: EngineOnGpu(
            device_mb=found.device_mb.get(name),
            phases=[PhasesRow(batch=row.batch, **asdict(row.phases)) for row in found.phases.get(name, [])],
            reason=found.reasons.get(name),
        )
        for name in found.engines
    }
    return OnGpuFacts(engines=engines, before=found.before, after=found.after)


def is_disturbed(others_share: float | None) -> bool:
    """Whether other programs used so much of the processor that the figures are unreliable."""
    return others_share is not None and others_share > DISTURBED_SHARE
