"""The benchmark from beginning to end: from a bundle and a folder to a report."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from ssr_edge.bench.measure.beside_vendor_tool import run_vendor_tool
from ssr_edge.bench.measure.engines import BASELINES, EngineSpec, plan_engines
from ssr_edge.bench.measure.on_gpu import ask_gpu_state, ask_on_gpu
from ssr_edge.bench.measure.prepare import noise_pairs, prepare, start_aa_process
from ssr_edge.bench.measure.process import Workers
from ssr_edge.bench.measure.rounds import END_TO_END_BATCH, Energy, Loaded, ask_each, finish_engines, run_rounds
from ssr_edge.bench.measure.schedule import Budget, plan_schedule
from ssr_edge.bench.measure.statistics import percentiles
from ssr_edge.bench.options import BenchOptions
from ssr_edge.bench.profile.analysis import engines_to_profile, rooflines_of
from ssr_edge.bench.profile.profiling import profile_engines
from ssr_edge.bench.report.gpu_messages import gpu_warnings
from ssr_edge.bench.report.mlperf import departures
from ssr_edge.bench.report.report import Live, Report, summarize_times
from ssr_edge.bench.report.schema import BundleFacts
from ssr_edge.breakhis.labels import ImagesWithTruth, label_images
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.common.files import sha256_of
from ssr_edge.common.text import printable
from ssr_edge.evaluation.accuracy import Accuracy, Predicted, judge
from ssr_edge.machine.environment import machine_facts
from ssr_edge.sources.paths import find_sources

_STAGE_IMAGES = 32
_PROFILED_CALLS = 20


def run_bench(bundle: Bundle, options: BenchOptions) -> Report:
    """Measures every engine of the bundle that this machine can run, each in its own process.

    Raises:
        UsageError: the folder has no images, or the bundle no such engine. DataError: its index.csv can't be used.
        RuntimeUnavailable: no engine could be run.
    """
    budget = options.budget
    environment = machine_facts()  # before the load is ours
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    plan = plan_engines(bundle, options.runtimes, options.precisions, options.quick, options.server)
    images = _choose_images(bundle, options, budget)
    with Workers() as workers:
        ready = prepare(workers, plan.specs, images, options)
        if not workers.running:
            raise _nothing_ran(workers.failures | plan.not_run)
        twin = start_aa_process(workers, plan.specs, images, ready, options)
        settled = {task: w.settled_ms for task, w in ready.warm.items() if task.engine in workers.running}
        schedule = plan_schedule(settled, budget)
        energy = Energy()
        before = ask_gpu_state(workers)
        times = run_rounds(workers, schedule, images.paths, options.seed, energy)
        after = None if before is None else ask_gpu_state(workers)
        engines = [name for name in ready.loaded if name in workers.running]
        live = _play_live(workers, engines, images.paths, options)
        paths = [str(path) for path in images.paths[:_STAGE_IMAGES]]
        stages = ask_each(workers, engines, "stages", do="stages", paths=paths, batch=1)
        peers, no_vendor_tools = run_vendor_tool(workers, options.peer, bundle, images.paths, options.seed)
        finished = finish_engines(workers)
        failures = {name: reason for name, reason in workers.failures.items() if name != twin}
        finished.pop(twin, None)
        if not finished:
            raise _nothing_ran(failures | plan.not_run)
        on_gpu = ask_on_gpu(workers, finished, list(times), before, after)
        profiles, not_profiled = profile_engines(workers, engines_to_profile(engines, ready, options), _PROFILED_CALLS)
    noise = noise_pairs(times, twin, options.seed)
    results, speedups = summarize_times(
        times, ready.warm, {name: ready.peak_rss_mb[name] for name in finished}, options.seed
    )
    rooflines, no_roofline = rooflines_of(bundle, results, profiles, options)
    trained = {} if options.latency_only else _of_trained(ready.predictions, plan.specs)
    notes = _notes(plan.specs, images, options) + _left_out_batches(ready.loaded, options.batches)
    notes += [f"{what}: {why}" for what, why in (no_vendor_tools | not_profiled | no_roofline).items()]
    notes += gpu_warnings(before, after) if before is not None and after is not None else []
    final_statistics = next(iter(finished.values()))
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
        meters=final_statistics.meters,
        no_meters=final_statistics.no_meters,
        peers=peers,
        profiles=profiles,
        rooflines=rooflines,
        on_gpu=on_gpu,
    )


def _choose_images(bundle: Bundle, options: BenchOptions, budget: Budget) -> ImagesWithTruth:
    found = list(find_sources(str(options.folder)))
    magnification = None if options.latency_only else bundle.manifest.magnification
    images = label_images(found, options.folder, magnification)
    most = END_TO_END_BATCH * 2 if options.latency_only else budget.judged
    if most is None or len(images.paths) <= most:
        return images
    # Evenly spaced over the sorted names: of every class its share.
    chosen = np.linspace(0, len(images.paths) - 1, most).round().astype(int)
    return ImagesWithTruth([images.paths[i] for i in chosen], [images.truth[i] for i in chosen], images.left_out)


def _play_live(workers: Workers, engines: Sequence[str], paths: Sequence[Path], options: BenchOptions) -> list[Live]:
    seconds = options.budget.live_s
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
    words += [] if options.server is None else ["--server", options.server]
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
    if not images.labeled:
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
