"""Starts and warms the engines, reads their labels, and starts one of them twice, to know the noise."""

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
from ssr_edge.bench.measure.statistics import paired_speedup
from ssr_edge.bench.options import BenchOptions
from ssr_edge.bench.report.report import Noise
from ssr_edge.breakhis.labels import ImagesWithTruth
from ssr_edge.evaluation.accuracy import Predicted

# Of the fastest engine's second process, in no table.
_TWIN = " (again)"


@dataclass
class Prepared:
    """What is known of the engines once they are warm. predictions: of the images, by engine."""

    loaded: dict[str, Loaded]
    warm: dict[Task, Warm]
    batch_ms: dict[str, dict[int, float]]
    predictions: dict[str, Predicted]
    peak_rss_mb: dict[str, float | None]


def prepare(workers: Workers, specs: Sequence[EngineSpec], images: ImagesWithTruth, options: BenchOptions) -> Prepared:
    """Starts, warms and reads the labels of one engine after the other, so that none is timed while another loads."""
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
    """Starts the fastest engine once more, for what two equal engines seem to differ by; returns the worker's name."""
    single = {t.engine: w.settled_ms for t, w in ready.warm.items() if t.scenario == "single-stream"}
    fastest = min((name for name in single if name in workers.running), key=lambda name: single[name])
    spec = next(spec for spec in specs if spec.name == fastest)
    name = fastest + _TWIN
    offline = next((t.batch for t in ready.warm if (t.engine, t.scenario) == (fastest, "offline")), 1)
    loaded = start_engine(workers, spec, images.paths, [offline], name)
    warmed = None if loaded is None else warm_engine(workers, name, loaded.max_batch, [offline], options.budget)
    if warmed is not None:
        ready.warm |= {
            task: warm for task, warm in warmed.tasks.items() if task.scenario in ("single-stream", "offline")
        }
    return name


def noise_pairs(times: dict[Task, Times], twin: str, seed: int) -> list[Noise]:
    """The A/A pairs; their times leave the others'."""
    pairs = []
    for task in [task for task in times if task.engine == twin]:
        original = Task(twin.removesuffix(_TWIN), task.scenario, task.batch)
        again = times.pop(task)
        if original in times:
            pairs.append(Noise(original, paired_speedup(times[original], again, seed)))
    return pairs
