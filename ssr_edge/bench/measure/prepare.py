"""Starts and warms up the engines, reads their labels, and starts the A/A process that measures noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssr_edge.bench.measure.engines import EngineSpec
from ssr_edge.bench.measure.process import Workers
from ssr_edge.bench.measure.rounds import (
    END_TO_END_BATCH,
    Loaded,
    Times,
    Warm,
    classify_images,
    start_engine,
    warm_engine,
)
from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.measure.statistics import Ratio, paired_speedup
from ssr_edge.bench.options import BenchOptions
from ssr_edge.breakhis.labels import ImagesWithTruth
from ssr_edge.evaluation.accuracy import Predicted

# Name suffix of the fastest engine's second process, which appears in no table.
_AGAIN = " (again)"


@dataclass
class Prepared:
    """The warmed-up engines. predictions: by engine."""

    loaded: dict[str, Loaded]
    warm: dict[Task, Warm]
    batch_ms: dict[str, dict[int, float]]
    predictions: dict[str, Predicted]
    peak_rss_mb: dict[str, float | None]


def prepare(workers: Workers, specs: Sequence[EngineSpec], images: ImagesWithTruth, options: BenchOptions) -> Prepared:
    """Starts, warms up and classifies with one engine after the other, so none is timed while another loads."""
    budget = options.budget
    ready = Prepared({}, {}, {}, {}, {})
    for spec in specs:
        loaded = start_engine(workers, spec, images.paths, options.batches or budget.batches)
        if loaded is None:
            continue
        ready.loaded[spec.name] = loaded
        warmed = warm_engine(workers, spec.name, loaded.max_batch, options.batches, budget)
        if warmed is None:
            continue
        ready.batch_ms[spec.name], ready.peak_rss_mb[spec.name] = warmed.batch_ms, warmed.peak_rss_mb
        batch = min(END_TO_END_BATCH, loaded.max_batch)
        ready.predictions[spec.name], passed = classify_images(workers, spec.name, images.paths, batch)
        ready.warm |= warmed.tasks | passed
    ready.predictions = {name: found for name, found in ready.predictions.items() if name in workers.running}
    return ready


def start_aa_process(
    workers: Workers,
    specs: Sequence[EngineSpec],
    images: ImagesWithTruth,
    ready: Prepared,
    options: BenchOptions,
) -> str:
    """Starts a second process of the fastest engine, to measure noise; returns the worker's name."""
    single = {t.engine: w.settled_ms for t, w in ready.warm.items() if t.scenario == "single-stream"}
    fastest = min((name for name in single if name in workers.running), key=lambda name: single[name])
    spec = next(spec for spec in specs if spec.name == fastest)
    name = fastest + _AGAIN
    offline = next((t.batch for t in ready.warm if (t.engine, t.scenario) == (fastest, "offline")), 1)
    loaded = start_engine(workers, spec, images.paths, [offline], name)
    warmed = None if loaded is None else warm_engine(workers, name, loaded.max_batch, [offline], options.budget)
    if warmed is not None:
        ready.warm |= {
            task: warm for task, warm in warmed.tasks.items() if task.scenario in ("single-stream", "offline")
        }
    return name


def noise_pairs(times: dict[Task, Times], aa_process: str, seed: int) -> dict[Task, Ratio]:
    """Speedup of the A/A process over its engine, by task; removes the A/A process from `times`."""
    pairs = {}
    for task in [task for task in times if task.engine == aa_process]:
        original = Task(aa_process.removesuffix(_AGAIN), task.scenario, task.batch)
        again = times.pop(task)
        if original in times:
            pairs[original] = paired_speedup(times[original], again, seed)
    return pairs
