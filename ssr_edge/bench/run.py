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
from ssr_edge.bench.against_peer import AgainstPeer, run_against_peer
from ssr_edge.bench.cost import network_cost
from ssr_edge.bench.engines import BASELINES, EngineSpec, plan_engines
from ssr_edge.bench.layers import Profile
from ssr_edge.bench.measure import (
    END_TO_END_BATCH,
    Energy,
    Loaded,
    Times,
    Warm,
    ask_each,
    classify_images,
    finish_engines,
    run_rounds,
    start_engine,
    warm_engine,
)
from ssr_edge.bench.mlperf import departures
from ssr_edge.bench.process import WorkerError, Workers
from ssr_edge.bench.profiling import measure_peaks_apart, profile_engines
from ssr_edge.bench.report import Live, Noise, Report, Result, printable, summarise_times
from ssr_edge.bench.roofline import Roofline, roofline
from ssr_edge.bench.schedule import FULL, MLPERF, QUICK, Effort, Task, plan_schedule
from ssr_edge.bench.schema import BundleFacts
from ssr_edge.bench.statistics import paired_speedup, percentiles
from ssr_edge.bundle import Bundle, model_file
from ssr_edge.environment import machine_facts
from ssr_edge.errors import RuntimeUnavailable
from ssr_edge.files import sha256_of
from ssr_edge.labels import ImagesWithTruth, label_images
from ssr_edge.sources import find_sources

# Of the fastest engine's second process, in no table.
TWIN = " (again)"
_STAGE_IMAGES = 32
_PROFILED_CALLS = 20
# For each of the machine's peaks.
_PEAK_S, _QUICK_PEAK_S = 1.5, 0.5


@dataclass(frozen=True)
class BenchOptions:
    """What to compare. runtimes, precisions: the only ones; empty for all.

    batches: of the offline scenario, each a row; empty for each engine's best. fps: of the live scenario.
    peer: the vendor's tool to compare with. layers: time those of every engine, not of the baseline and the fastest.
    latency_only: the weights are random, so labels mean nothing.
    """

    folder: Path
    runtimes: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    batches: tuple[int, ...] = ()
    quick: bool = False
    mlperf: bool = False
    fps: float = 30.0
    peer: str | None = None
    layers: bool = False
    latency_only: bool = False
    seed: int = 0

    @property
    def effort(self) -> Effort:
        """How long it may take."""
        return QUICK if self.quick else MLPERF if self.mlperf else FULL


@dataclass
class _Prepared:
    """What is known of the engines once they are warm. predictions: of the images, by engine."""

    loaded: dict[str, Loaded]
    warm: dict[Task, Warm]
    batch_ms: dict[str, dict[int, float]]
    predictions: dict[str, Predicted]


def run_bench(bundle: Bundle, options: BenchOptions) -> Report:
    """Measures every engine of the bundle that this machine can run, each in its own process.

    Raises:
        UsageError: the folder has no images, or the bundle no such engine. DataError: its index.csv can't be used.
        RuntimeUnavailable: no engine could be run.
    """
    effort = options.effort
    environment = machine_facts()  # before the load is ours
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    plan = plan_engines(bundle, options.runtimes, options.precisions)
    images = _choose_images(bundle, options, effort)
    with Workers() as workers:
        ready = _prepare(workers, plan.specs, images, options)
        if not workers.running:
            raise _nothing_ran(workers.failures | plan.not_run)
        twin = _start_twin(workers, plan.specs, images, ready, options)
        settled = {task: w.settled_ms for task, w in ready.warm.items() if task.engine in workers.running}
        schedule = plan_schedule(settled, effort)
        energy = Energy()
        times = run_rounds(workers, schedule, images.paths, options.seed, energy)
        engines = [name for name in ready.loaded if name in workers.running]
        live = _play_live(workers, engines, images.paths, options)
        paths = [str(path) for path in images.paths[:_STAGE_IMAGES]]
        stages = ask_each(workers, engines, "stages", do="stages", paths=paths, batch=1)
        peers, no_peers = _beside_peer(workers, bundle, images.paths, options)
        finished = finish_engines(workers)
        profiles, not_profiled = profile_engines(workers, _to_profile(engines, ready, options), _PROFILED_CALLS)
        failures = {name: reason for name, reason in workers.failures.items() if name != twin}
        finished.pop(twin, None)
        if not finished:
            raise _nothing_ran(failures | plan.not_run)
    noise = _noise(times, twin, options.seed)
    results, speedups = summarise_times(times, ready.warm, finished, options.seed)
    rooflines, no_roofline = _rooflines(bundle, results, profiles, options)
    trained = {} if options.latency_only else _of_trained(ready.predictions, plan.specs)
    notes = _notes(plan.specs, images, options) + _left_out_batches(ready.loaded, options.batches)
    notes += [f"{what}: {why}" for what, why in (no_peers | not_profiled | no_roofline).items()]
    last_words = next(iter(finished.values()))
    return Report(
        created=created,
        command=_command(bundle, options),
        bundle=_bundle_facts(bundle),
        environment=environment,
        folder=options.folder,
        images=images,
        images_sha256=_sha256_of_all(images.paths),
        predictions=trained,
        engines=ready.loaded,
        results=results,
        speedups=speedups,
        accuracy=_judge_all(trained, images),
        failures=failures,
        not_run=plan.not_run,
        notes=notes + (departures(results) if options.mlperf else []),
        rounds=schedule.rounds,
        others_share=max((f.others_share for f in finished.values() if f.others_share is not None), default=None),
        batch_ms=ready.batch_ms,
        noise=noise,
        live=[row for row in live if row.engine in finished],
        stages={name: found for name, found in stages.items() if name in finished},
        energy={row.task: joules for row in results if (joules := energy.an_image(row.task))},
        meters=last_words.meters,
        no_meters=last_words.no_meters,
        peers=peers,
        profiles=profiles,
        rooflines=rooflines,
    )


def _beside_peer(
    workers: Workers, bundle: Bundle, paths: Sequence[Path], options: BenchOptions
) -> tuple[list[AgainstPeer], dict[str, str]]:
    if options.peer is None:
        return [], {}
    return run_against_peer(workers, options.peer, bundle, paths, options.seed)


def _to_profile(engines: Sequence[str], ready: _Prepared, options: BenchOptions) -> list[str]:
    """The engines whose layers are timed: none in seconds, all when asked for, else the baseline and the fastest."""
    if options.layers:
        return list(engines)
    if options.quick or not engines:
        return []
    single = {task.engine: warm.settled_ms for task, warm in ready.warm.items() if task.scenario == "single-stream"}
    return list(dict.fromkeys([engines[0], min(engines, key=lambda name: single[name])]))


def _rooflines(
    bundle: Bundle, results: Sequence[Result], profiles: dict[str, Profile], options: BenchOptions
) -> tuple[dict[str, Roofline], dict[str, str]]:
    """How far the profiled engines are from what the processor could do; none for those that run on a GPU."""
    single = {row.task.engine: row.latency.p50 for row in results if row.task.scenario == "single-stream"}
    engines = [name for name in profiles if name in single and not name.startswith("tensorrt")]
    if not engines:
        return {}, {}
    try:
        peaks = measure_peaks_apart(_QUICK_PEAK_S if options.quick else _PEAK_S)
    except WorkerError as error:
        return {}, {"the processor's peaks": str(error)}
    found = {}
    for name in engines:
        precision = name.rsplit("-", 1)[1]
        costs = network_cost(bundle.file(model_file(precision)), precision)
        found[name] = roofline(costs, peaks, precision, single[name], profiles[name])
    return found, {}


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
    workers: Workers, specs: Sequence[EngineSpec], images: ImagesWithTruth, options: BenchOptions
) -> _Prepared:
    """Starts, warms and reads the labels of one engine after the other, so that none is timed while another loads."""
    effort = options.effort
    ready = _Prepared({}, {}, {}, {})
    for spec in specs:
        loaded = start_engine(workers, spec, images.paths, options.batches or effort.batches)
        if loaded is None:
            continue
        ready.loaded[spec.name] = loaded
        warmed = warm_engine(workers, spec.name, loaded.max_batch, options.batches, effort)
        if warmed is None:
            continue
        ready.batch_ms[spec.name] = warmed.batch_ms
        batch = min(END_TO_END_BATCH, loaded.max_batch)
        ready.predictions[spec.name], passed = classify_images(workers, spec.name, images.paths, batch)
        ready.warm |= warmed.tasks | passed
    ready.predictions = {name: found for name, found in ready.predictions.items() if name in workers.running}
    return ready


def _start_twin(
    workers: Workers,
    specs: Sequence[EngineSpec],
    images: ImagesWithTruth,
    ready: _Prepared,
    options: BenchOptions,
) -> str:
    """Starts the fastest engine once more, for what two equal engines seem to differ by; returns the worker's name."""
    single = {t.engine: w.settled_ms for t, w in ready.warm.items() if t.scenario == "single-stream"}
    fastest = min((name for name in single if name in workers.running), key=lambda name: single[name])
    spec = next(spec for spec in specs if spec.name == fastest)
    name = fastest + TWIN
    offline = next((t.batch for t in ready.warm if (t.engine, t.scenario) == (fastest, "offline")), 1)
    loaded = start_engine(workers, spec, images.paths, [offline], name)
    warmed = None if loaded is None else warm_engine(workers, name, loaded.max_batch, [offline], options.effort)
    if warmed is not None:
        ready.warm |= {
            task: warm for task, warm in warmed.tasks.items() if task.scenario in ("single-stream", "offline")
        }
    return name


def _noise(times: dict[Task, Times], twin: str, seed: int) -> list[Noise]:
    """The A/A pairs; their times leave the others'."""
    pairs = []
    for task in [task for task in times if task.engine == twin]:
        original = Task(twin.removesuffix(TWIN), task.scenario, task.batch)
        again = times.pop(task)
        if original in times:
            pairs.append(Noise(original, paired_speedup(times[original], again, seed)))
    return pairs


def _play_live(workers: Workers, engines: Sequence[str], paths: Sequence[Path], options: BenchOptions) -> list[Live]:
    seconds = options.effort.live_s
    images = [str(path) for path in paths]
    replies = ask_each(workers, engines, "live", do="live", paths=images, fps=options.fps, seconds=seconds)
    return [
        Live(
            engine=name,
            fps=options.fps,
            frames=reply["frames"],
            dropped=reply["dropped"],
            latency_ms=percentiles(reply["latency_ms"]) if reply["latency_ms"] else None,
        )
        for name, reply in replies.items()
    ]


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
    flags = {"--quick": options.quick, "--mlperf": options.mlperf, "--layers": options.layers}
    words += [flag for flag, said in flags.items() if said]
    words += [] if options.peer is None else ["--peer", options.peer]
    words += ["--fps", f"{options.fps:g}"]
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
