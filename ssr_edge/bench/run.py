"""The benchmark from beginning to end: from a bundle and a folder to a report."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from ssr_edge.bench.accuracy import Accuracy, Predicted, judge
from ssr_edge.bench.engines import BASELINES, EngineSpec, plan_engines
from ssr_edge.bench.measure import (
    END_TO_END_BATCH,
    Loaded,
    Warm,
    classify_images,
    finish_engines,
    run_rounds,
    start_engine,
    warm_engine,
)
from ssr_edge.bench.process import Workers
from ssr_edge.bench.report import Report, printable, summarise_times
from ssr_edge.bench.schedule import FULL, QUICK, Effort, Task, plan_schedule
from ssr_edge.bench.schema import BundleFacts
from ssr_edge.bundle import Bundle
from ssr_edge.environment import machine_facts
from ssr_edge.errors import RuntimeUnavailable
from ssr_edge.files import sha256_of
from ssr_edge.labels import ImagesWithTruth, label_images
from ssr_edge.sources import find_sources


@dataclass(frozen=True)
class BenchOptions:
    """What to compare. runtimes, precisions: the only ones; empty for all. batches: of the offline scenario.

    latency_only: the weights are random, so labels mean nothing.
    """

    folder: Path
    runtimes: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    batches: tuple[int, ...] = (1, 8)
    quick: bool = False
    latency_only: bool = False
    seed: int = 0


def run_bench(bundle: Bundle, options: BenchOptions) -> Report:
    """Measures every engine of the bundle that this machine can run, each in its own process.

    Raises:
        UsageError: the folder has no images, or the bundle no such engine. DataError: its index.csv can't be used.
        RuntimeUnavailable: no engine could be run.
    """
    effort = QUICK if options.quick else FULL
    environment = machine_facts()  # before the load is ours
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    plan = plan_engines(bundle, options.runtimes, options.precisions)
    images = _choose_images(bundle, options, effort)
    notes = _notes(plan.specs, images, options)
    with Workers() as workers:
        loaded, warm, predictions = _prepare(workers, plan.specs, images, options, effort)
        if not workers.running:
            raise _nothing_ran(workers.failures | plan.not_run)
        notes += _left_out_batches(loaded, options.batches)
        settled = {task: w.settled_ms for task, w in warm.items() if task.engine in workers.running}
        schedule = plan_schedule(settled, effort)
        times = run_rounds(workers, schedule, images.paths, options.seed)
        finished = finish_engines(workers)
        if not finished:
            raise _nothing_ran(workers.failures | plan.not_run)
        results, speedups = summarise_times(times, warm, finished, options.seed)
        trained = {} if options.latency_only else _of_trained(predictions, plan.specs)
        return Report(
            created=created,
            command=_command(bundle, options),
            bundle=_bundle_facts(bundle),
            environment=environment,
            folder=options.folder,
            images=images,
            images_sha256=_sha256_of_all(images.paths),
            predictions=trained,
            engines=loaded,
            results=results,
            speedups=speedups,
            accuracy=_judge_all(trained, images),
            failures=workers.failures,
            not_run=plan.not_run,
            notes=notes,
            rounds=schedule.rounds,
            others_share=max((f.others_share for f in finished.values() if f.others_share is not None), default=None),
        )


def _choose_images(bundle: Bundle, options: BenchOptions, effort: Effort) -> ImagesWithTruth:
    found = list(find_sources(str(options.folder)))
    magnification = None if options.latency_only else bundle.manifest.magnification
    images = label_images(found, options.folder, magnification)
    most = END_TO_END_BATCH * 2 if options.latency_only else effort.judged
    if most is None or len(images.paths) <= most:
        return images
    # Evenly spaced over the sorted names: of every class its share.
    chosen = np.linspace(0, len(images.paths) - 1, most).round().astype(int)
    return ImagesWithTruth([images.paths[i] for i in chosen], [images.truth[i] for i in chosen], images.left_out)


def _prepare(
    workers: Workers, specs: Sequence[EngineSpec], images: ImagesWithTruth, options: BenchOptions, effort: Effort
) -> tuple[dict[str, Loaded], dict[Task, Warm], dict[str, Predicted]]:
    """Starts, warms and reads the labels of one engine after the other, so that none is timed while another loads."""
    engines: dict[str, Loaded] = {}
    warm: dict[Task, Warm] = {}
    predictions: dict[str, Predicted] = {}
    for spec in specs:
        loaded = start_engine(workers, spec, images.paths, options.batches)
        if loaded is None:
            continue
        engines[spec.name] = loaded
        fitting = [batch for batch in options.batches if batch <= loaded.max_batch]
        warm |= warm_engine(workers, spec.name, fitting, effort)
        batch = min(END_TO_END_BATCH, loaded.max_batch)
        predictions[spec.name], passed = classify_images(workers, spec.name, images.paths, batch)
        warm |= passed
    return engines, warm, {name: found for name, found in predictions.items() if name in workers.running}


def _of_trained(predictions: dict[str, Predicted], specs: Sequence[EngineSpec]) -> dict[str, Predicted]:
    return {spec.name: predictions[spec.name] for spec in specs if spec.trained and spec.name in predictions}


def _judge_all(predictions: dict[str, Predicted], images: ImagesWithTruth) -> list[Accuracy]:
    reference = next((predictions[name].labels for name in BASELINES if name in predictions), None)
    return [judge(name, found.labels, images.truth, reference) for name, found in predictions.items()]


def _bundle_facts(bundle: Bundle) -> BundleFacts:
    manifest = bundle.manifest
    return BundleFacts(
        name=manifest.name, created=manifest.created, checkpoint_sha256=manifest.provenance.checkpoint_sha256
    )


def _command(bundle: Bundle, options: BenchOptions) -> str:
    """What measures the same again, every default said aloud."""
    words = ["ssr-edge", "bench", printable(options.folder)]
    if options.latency_only:
        words += ["--arch", str(bundle.manifest.arch["name"]), "--random-weights"]
    else:
        words += ["--bundle", printable(bundle.path)]
    for option, values in (
        ("--runtime", options.runtimes),
        ("--precision", options.precisions),
        ("--batch", options.batches),
    ):
        words += [word for value in values for word in (option, str(value))]
    if options.quick:
        words.append("--quick")
    return shlex.join([*words, "--seed", str(options.seed)])


def _sha256_of_all(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(sha256_of(path).encode())
        except OSError:
            digest.update(b"unreadable")
    return digest.hexdigest()


def _notes(specs: Sequence[EngineSpec], images: ImagesWithTruth, options: BenchOptions) -> list[str]:
    if options.latency_only:
        return ["latency only: random weights"]
    notes = [
        f"{spec.name} runs random weights, because the bundle's checkpoint is not at hand: its speed counts, its "
        "labels do not"
        for spec in specs
        if not spec.trained
    ]
    if images.left_out:
        notes.append(f"{images.left_out} images of another magnification than the bundle's were left out")
    if not images.labelled:
        notes.append("no image of a known class and the bundle's magnification: agreement only, no accuracy")
    return notes


def _left_out_batches(loaded: dict[str, Loaded], batches: Sequence[int]) -> list[str]:
    return [
        f"{name} takes at most {engine.max_batch} images a call: batch {batch} was left out"
        for name, engine in loaded.items()
        for batch in batches
        if batch > engine.max_batch
    ]


def _nothing_ran(reasons: dict[str, str]) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        "no engine could be run: " + "; ".join(f"{name}: {reason}" for name, reason in reasons.items()),
        expected="at least one engine that loads on this machine",
        next_step="ssr-edge doctor",
    )
