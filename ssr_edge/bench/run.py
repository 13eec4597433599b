"""Runs a benchmark: from a bundle and a folder of images to a report."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from ssr_edge.bench.measure.beside_vendor_tool import run_vendor_tool
from ssr_edge.bench.measure.engines import BASELINES, EngineSpec, plan_engines
from ssr_edge.bench.measure.on_gpu import ask_gpu_state, ask_on_gpu
from ssr_edge.bench.measure.prepare import noise_pairs, prepare, start_aa_process
from ssr_edge.bench.measure.process import Workers
from ssr_edge.bench.measure.rounds import (
    END_TO_END_BATCH,
    Energy,
    Loaded,
    Times,
    ask_each,
    finish_engines,
    run_rounds,
)
from ssr_edge.bench.measure.schedule import Task, plan_schedule
from ssr_edge.bench.measure.statistics import percentiles
from ssr_edge.bench.options import BenchOptions
from ssr_edge.bench.profile.analysis import engines_to_profile, rooflines_of
from ssr_edge.bench.profile.profiling import profile_engines
from ssr_edge.bench.report.build import (
    METHOD,
    BenchRun,
    accuracy_rows,
    engine_facts,
    is_disturbed,
    noise_rows,
    on_gpu_facts,
    reasons,
    result_rows,
    speedup_rows,
    vendor_tool_rows,
)
from ssr_edge.bench.report.schema import BenchFile, BundleFacts, EnergyRow, Environment, Images, LiveRow
from ssr_edge.bench.report.summary import gpu_warnings, mlperf_departures
from ssr_edge.breakhis.labels import ImagesWithTruth, label_images
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.common.files import sha256_of
from ssr_edge.common.text import printable
from ssr_edge.evaluation.accuracy import Accuracy, Predicted, evaluate_labels
from ssr_edge.machine.environment import machine_facts
from ssr_edge.sources.paths import find_sources

_STAGE_IMAGES = 32
_PROFILED_CALLS = 20


def run_bench(bundle: Bundle, options: BenchOptions) -> BenchRun:
    """Measures every engine of the bundle that this machine can run, each in its own process.

    Raises:
        UsageError: the folder has no images, or the bundle has no such engine. DataError: its index.csv is unusable.
        RuntimeUnavailable: no engine could be run.
    """
    budget = options.budget
    environment = machine_facts()  # before the benchmark adds its own load
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    plan = plan_engines(bundle, options.runtimes, options.precisions, options.quick, options.server)
    images = _choose_images(bundle, options)
    with Workers() as workers:
        ready = prepare(workers, plan.specs, images, options)
        if not workers.running:
            raise _nothing_ran(workers.failures | plan.not_run)
        aa_process = start_aa_process(workers, plan.specs, images, ready, options)
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
        vendor_tools, no_vendor_tools = run_vendor_tool(
            workers, options.vendor_tool, bundle, images.paths, options.seed
        )
        finished = finish_engines(workers)
        failures = {name: reason for name, reason in workers.failures.items() if name != aa_process}
        finished.pop(aa_process, None)
        if not finished:
            raise _nothing_ran(failures | plan.not_run)
        on_gpu = ask_on_gpu(workers, finished, list(times), before, after)
        profiles, not_profiled = profile_engines(workers, engines_to_profile(engines, ready, options), _PROFILED_CALLS)
    noise = noise_pairs(times, aa_process, options.seed)
    times = {task: rounds for task, rounds in times.items() if task.engine in finished}
    results = result_rows(times, ready.warm, ready.peak_rss_mb)
    single_ms = {row.engine: row.latency_ms.p50 for row in results if row.scenario == "single-stream"}
    rooflines, no_roofline = rooflines_of(bundle, single_ms, profiles, options)
    trained = {} if options.random_weights else _of_trained(ready.predictions, plan.specs)
    notes = _notes(plan.specs, images, options) + _left_out_batches(ready.loaded, options.batches)
    notes += [f"{what}: {why}" for what, why in (no_vendor_tools | not_profiled | no_roofline).items()]
    notes += gpu_warnings(before, after) if before is not None and after is not None else []
    notes += mlperf_departures(times) if options.mlperf else []
    others_share = max((f.others_share for f in finished.values() if f.others_share is not None), default=None)
    final_statistics = next(iter(finished.values()))
    bench = BenchFile(
        created=created,
        command=_command(bundle, options),
        bundle=_bundle_facts(bundle),
        environment=Environment.model_validate(environment),
        images=Images(folder=printable(options.folder), sha256=_sha256_of_all(images.paths), truth=images.truth),
        results=results,
        speedup=speedup_rows(times, options.seed),
        noise=noise_rows(noise),
        live=[row for row in live if row.engine in finished],
        stages={name: found for name, found in stages.items() if name in finished},
        energy=_energy_rows(times, energy),
        meters=final_statistics.meters,
        no_meters=final_statistics.no_meters,
        vendor_tools=vendor_tool_rows(vendor_tools),
        layers=profiles,
        rooflines=rooflines,
        accuracy=accuracy_rows(_accuracies(trained, images), trained),
        engines=engine_facts(ready.loaded, ready.batch_ms),
        failures=reasons(failures),
        not_run=reasons(plan.not_run),
        notes=notes,
        rounds=schedule.rounds,
        others_share=others_share,
        disturbed=is_disturbed(others_share),
        method=METHOD,
        on_gpu=on_gpu_facts(on_gpu),
    )
    return BenchRun(bench, times, images, trained)


def _choose_images(bundle: Bundle, options: BenchOptions) -> ImagesWithTruth:
    found = list(find_sources(str(options.folder)))
    magnification = None if options.random_weights else bundle.manifest.magnification
    images = label_images(found, options.folder, magnification)
    most = END_TO_END_BATCH * 2 if options.random_weights else options.budget.max_images
    if most is None or len(images.paths) <= most:
        return images
    # Evenly spaced over the sorted names, which keeps the share of each class.
    chosen = np.linspace(0, len(images.paths) - 1, most).round().astype(int)
    return ImagesWithTruth([images.paths[i] for i in chosen], [images.truth[i] for i in chosen], images.left_out)


def _play_live(workers: Workers, engines: Sequence[str], paths: Sequence[Path], options: BenchOptions) -> list[LiveRow]:
    seconds = options.budget.live_s
    images = [str(path) for path in paths]
    replies = ask_each(workers, engines, "live", do="live", paths=images, fps=options.fps, seconds=seconds)
    return [
        LiveRow(
            engine=name,
            fps=options.fps,
            frames=reply["frames"],
            dropped=reply["dropped"],
            latency_ms=percentiles(reply["latency_ms"]) if reply["latency_ms"] else None,
        )
        for name, reply in replies.items()
    ]


def _energy_rows(tasks: Mapping[Task, Times], energy: Energy) -> list[EnergyRow]:
    return [
        EnergyRow(engine=task.engine, scenario=task.scenario, batch=task.batch, meter=meter, joules_per_image=joules)
        for task in tasks
        for meter, joules in energy.an_image(task).items()
    ]


def _of_trained(predictions: dict[str, Predicted], specs: Sequence[EngineSpec]) -> dict[str, Predicted]:
    return {spec.name: predictions[spec.name] for spec in specs if spec.trained and spec.name in predictions}


def _accuracies(predictions: Mapping[str, Predicted], images: ImagesWithTruth) -> list[Accuracy]:
    reference = next((predictions[name].labels for name in BASELINES if name in predictions), None)
    return [evaluate_labels(name, found.labels, images.truth, reference) for name, found in predictions.items()]


def _bundle_facts(bundle: Bundle) -> BundleFacts:
    manifest = bundle.manifest
    return BundleFacts(
        name=manifest.name, created=manifest.created, checkpoint_sha256=manifest.provenance.checkpoint_sha256
    )


def _command(bundle: Bundle, options: BenchOptions) -> str:
    """The command that reproduces the measurement, with every option spelled out."""
    words = ["ssr-edge", "bench", printable(options.folder)]
    if options.random_weights:
        words += ["--arch", str(bundle.manifest.arch["name"]), "--random-weights"]
    else:
        words += ["--bundle", printable(bundle.path)]
    words += [word for runtime in options.runtimes for word in ("--runtime", runtime.value)]
    words += [word for precision in options.precisions for word in ("--precision", precision.value)]
    words += [word for batch in options.batches for word in ("--batch", str(batch))]
    flags = {"--quick": options.quick, "--mlperf": options.mlperf, "--layers": options.layers}
    words += [flag for flag, given in flags.items() if given]
    words += [] if options.vendor_tool is None else ["--vendor-tool", options.vendor_tool]
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
    if options.random_weights:
        return ["latency only: random weights"]
    notes = [
        f"{spec.name} uses random weights because the bundle's checkpoint is not available: its speed is valid, its "
        "labels are not"
        for spec in specs
        if not spec.trained
    ]
    if images.left_out:
        notes.append(f"{images.left_out} images with a magnification other than the bundle's were skipped")
    if not images.labeled:
        notes.append("no image has a known class and the bundle's magnification: agreement only, no accuracy")
    return notes


def _left_out_batches(loaded: dict[str, Loaded], batches: Sequence[int]) -> list[str]:
    return [
        f"{name} accepts at most {engine.max_batch} images per call: batch {batch} was skipped"
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
