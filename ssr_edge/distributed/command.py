"""`ssr-edge infer --ray`: computes the missing parts, then merges all parts into one table."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from ssr_edge.bundle.bundle import MANIFEST, Bundle
from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import sha256_of
from ssr_edge.common.interrupt import interruptible
from ssr_edge.common.progress import progress
from ssr_edge.distributed.cluster import joined, nodes, room
from ssr_edge.distributed.inputs import open_files
from ssr_edge.distributed.parts import Part, cut
from ssr_edge.distributed.worker import Work
from ssr_edge.results.results import Results

if TYPE_CHECKING:
    from ssr_edge.distributed.folder import PartsFolder


@dataclass(frozen=True)
class RayOptions:
    """address: HOST:PORT of a cluster, or `local` for Ray on this machine. actors: None for as many as fit.

    cores, gpus: per actor. part_size: images per part.
    """

    address: str
    actors: int | None
    cores: int
    gpus: float
    part_size: int


@dataclass(frozen=True)
class InferRequest:
    """The arguments of `infer` that mean the same on a cluster as locally."""

    source: str
    bundle: Bundle
    runtime: str
    precision: str | None
    resize: str
    batch: int
    requests: int
    every: int
    resume: bool


def infer_on_ray(request: InferRequest, options: RayOptions, results: Results) -> tuple[int, float]:
    """Writes `results`; returns the number of images computed by this run, and the seconds that took.

    Raises:
        UsageError: invalid source or options, or parts of another job. RuntimeUnavailable: no Ray, or a node that can't
            compute. KeyboardInterrupt, SystemExit: stopped; finished parts are kept.
    """
    stop = Event()
    inputs = open_files(request.source, stop, request.every)
    with joined(options.address) as ray:
        from ssr_edge.distributed.folder import JobRecord, PartsFolder

        actors = _actors(ray, options)
        manifest = sha256_of(request.bundle.path / MANIFEST)
        job = JobRecord(
            bundle=manifest,
            runtime=request.runtime,
            precision=request.precision,
            resize=request.resize,
            part_size=options.part_size,
        )
        folder = PartsFolder(results.first_output.with_suffix(".parts"), job)
        folder.resume() if request.resume else folder.begin()
        work = _work(request, options, manifest)
        plan = _Plan(cut(inputs, options.part_size), folder)
        nodes_before = len(nodes(ray))
        started = time.perf_counter()
        done = _compute(ray, plan, work, actors, folder, stop)
        took = time.perf_counter() - started
        if (lost := nodes_before - len(nodes(ray))) > 0:
            print(f"nodes lost during the run: {lost}; their parts were computed on other nodes", file=sys.stderr)
    if not plan.count:
        raise UsageError("the source has no images", expected="at least one path", next_step="ssr-edge infer FOLDER")
    folder.check_end(plan.count)
    with results:
        results.begin(folder.record())
        for result in folder.results(plan.count):
            results.add(result)
    if len(folder.devices) > 1:
        print("computed on several devices: " + "; ".join(sorted(folder.devices)), file=sys.stderr)
    return done, took


class _Plan:
    """Yields the missing parts. count: parts seen so far; kept: images in parts that were already finished."""

    def __init__(self, parts: Iterable[Part], folder: PartsFolder) -> None:
        self._parts, self._folder = parts, folder
        self.count = self.kept = 0

    def __iter__(self) -> Iterator[Part]:
        for part in self._parts:
            self.count += 1
            if self._folder.has(part):
                self.kept += len(part.inputs)
            else:
                yield part


def _compute(ray: Any, plan: _Plan, work: Work, actors: int, folder: PartsFolder, stop: Event) -> int:
    from ssr_edge.distributed.job import compute
    from ssr_edge.distributed.part_file import record_in

    done, started = 0, time.perf_counter()
    try:
        with interruptible(stop), progress("classifying, image", None) as advance:
            for finished in compute(ray, plan, work, actors):
                folder.add(finished.number, record_in(finished.data), finished.data)
                done += finished.images
                advance(finished.images, f"{done / (time.perf_counter() - started):.0f}/s")
                if stop.is_set():
                    break
    except (KeyboardInterrupt, SystemExit):
        print(
            f"stopped after {plan.kept + done} images; finished parts are in {folder.path}; "
            "run the same command with --resume to continue",
            file=sys.stderr,
        )
        raise
    if plan.kept:
        print(f"{plan.kept} images were already finished", file=sys.stderr)
    return done


def _actors(ray: Any, options: RayOptions) -> int:
    fit = room(ray, options.cores, options.gpus)
    size = f"{options.cores} cores" + (f" and {options.gpus:g} GPUs" if options.gpus else "")
    if not fit:
        raise UsageError(
            f"no node of the cluster has {size}",
            expected="a node with room for an actor",
            next_step="set --num-cpus and --num-gpus to what a node has (ray status lists it)",
        )
    actors = options.actors or fit
    print(f"{actors} actors of {size}; the cluster has room for {fit}", file=sys.stderr)
    return actors


def _work(request: InferRequest, options: RayOptions, manifest: str) -> Work:
    return Work(
        folder=Path.cwd(),
        bundle=request.bundle.path,
        manifest=manifest,
        runtime=request.runtime,
        precision=request.precision,
        resize=request.resize,
        batch=request.batch,
        requests=request.requests,
        cores=options.cores,
        gpus=options.gpus,
    )
