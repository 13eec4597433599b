"""Drives the workers: load, warm up, classify all images once, then take turns in rounds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ssr_edge.bench.measure.engines import EngineSpec
from ssr_edge.bench.measure.process import WorkerProcess, Workers
from ssr_edge.bench.measure.schedule import QUERY, Budget, Schedule, Task, best_batch
from ssr_edge.common.progress import progress
from ssr_edge.evaluation.accuracy import Predicted

# The batch size of `infer`.
END_TO_END_BATCH = 8
# Small enough that a reply arrives, and the progress bar moves, within seconds.
_CHUNK = 32
# Distinct images, so that no engine profits from a cached one.
_POOL = 8
# Image files to read the pool from; unreadable ones are skipped.
_CANDIDATES = 100
# Throughput gain below which a larger batch counts as no improvement; two in a row end the search.
_GAIN = 1.02


@dataclass(frozen=True)
class Loaded:
    """A loaded engine, as reported by its worker. origin: where it was loaded from. threads: None on a GPU."""

    version: str
    device: str
    origin: str
    max_batch: int
    load_ms: float
    threads: int | None = None


@dataclass(frozen=True)
class Warm:
    """First and settled time of a task, in ms per call; for end-to-end per image. calls, seconds: of the warm-up."""

    first_ms: float
    settled_ms: float
    calls: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class WarmedUp:
    """tasks: scenarios to time. batch_ms: ms per call at each batch size tried.

    peak_rss_mb: peak memory of the process before batches larger than a query were tried, in 10^6 bytes.
    """

    tasks: dict[Task, Warm]
    batch_ms: dict[int, float]
    peak_rss_mb: float | None


@dataclass(frozen=True)
class Finished:
    """Final worker statistics. others_share: processor share of other programs while the engine was timed, 0 to 1.

    meters: energy meters and what each one includes. no_meters: why other meters are missing.
    """

    others_share: float | None
    device_mb: float | None = None
    meters: dict[str, str] = field(default_factory=dict)
    no_meters: list[str] = field(default_factory=list)


@dataclass
class Energy:
    """Energy by task and meter, in joules, and the number of images it was measured over."""

    joules: dict[Task, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    images: Counter[Task] = field(default_factory=Counter)

    def add(self, task: Task, images: int, joules: Mapping[str, float]) -> None:
        """Adds a turn."""
        self.images[task] += images
        for meter, found in joules.items():
            self.joules[task][meter] += found  # type: ignore[assignment]

    def an_image(self, task: Task) -> dict[str, float]:
        """Joules per image by meter; empty without meters."""
        return {meter: joules / self.images[task] for meter, joules in self.joules.get(task, {}).items()}


# Call durations in ms, one list per round; for end-to-end one value per round: ms per image.
Times = list[list[float]]


def start_engine(
    workers: Workers, spec: EngineSpec, paths: Sequence[Path], batches: Sequence[int], name: str | None = None
) -> Loaded | None:
    """Starts a worker and loads its engine; None if it fails. name: worker name, if not the engine's."""
    name = name or spec.name
    workers.running[name] = WorkerProcess()
    images = [str(path) for path in paths[:_CANDIDATES]]
    reply = workers.ask(name, do="load", spec=asdict(spec), images=images, pool=max(_POOL, *batches))
    return None if reply is None else Loaded(**reply)


def warm_engine(
    workers: Workers, engine: str, max_batch: int, batches: Sequence[int], budget: Budget
) -> WarmedUp | None:
    """Warms an engine up at batch 1, the query size and the offline batches; finds its best batch. None if it fails.

    batches: offline batch sizes, one row each; empty for the best of budget.batches.
    """
    query = min(QUERY, max_batch)
    warm: dict[int, Warm] = {}
    peak_rss_mb: float | None = None
    for batch in _batches_to_try(max_batch, query, batches, budget, warm):
        found = warm_batch(workers, engine, batch, budget)
        if found is None:
            return None
        warm[batch] = found
        if batch <= query:
            reply = workers.ask(engine, do="memory")
            peak_rss_mb = None if reply is None else reply["peak_rss_mb"]
    batch_ms = {batch: found.settled_ms for batch, found in sorted(warm.items())}
    tasks = {
        Task(engine, "single-stream", 1): warm[1],
        Task(engine, "multi-stream", query): _of_query(warm[query], query),
    }
    for batch in batches or [best_batch(batch_ms)]:
        if batch <= max_batch:
            tasks[Task(engine, "offline", batch)] = warm[batch]
    return WarmedUp(tasks, batch_ms, peak_rss_mb)


def warm_batch(workers: Workers, engine: str, batch: int, budget: Budget) -> Warm | None:
    """Calls an engine until its latency at this batch size settles; None if it fails."""
    reply = workers.ask(engine, do="warm", batch=batch, limit_s=budget.warm_s)
    return None if reply is None else Warm(**reply)


def _batches_to_try(
    max_batch: int, query: int, batches: Sequence[int], budget: Budget, warm: Mapping[int, Warm]
) -> Iterator[int]:
    """The scenarios' batch sizes; then, if none were requested, larger ones while throughput improves."""
    yield from sorted(batch for batch in {1, query, *batches} if batch <= max_batch)
    poor = 0
    for batch in () if batches else budget.batches:
        if batch > max_batch or poor == 2:
            return
        smaller = max((other / found.settled_ms for other, found in warm.items() if other < batch), default=0.0)
        if batch not in warm:
            yield batch
        poor = poor + 1 if batch / warm[batch].settled_ms < _GAIN * smaller else 0


def _of_query(warm: Warm, batch: int) -> Warm:
    calls = QUERY / batch
    return Warm(warm.first_ms * calls, warm.settled_ms * calls, warm.calls, warm.seconds)


def classify_images(
    workers: Workers, engine: str, paths: Sequence[Path], batch: int
) -> tuple[Predicted, dict[Task, Warm]]:
    """The engine's prediction for every image; the pass also serves as warm-up of the end-to-end task."""
    predicted = Predicted([], [])
    ms: list[float] = []
    with progress(f"{engine}, image", len(paths)) as advance:
        for start in range(0, len(paths), _CHUNK):
            chunk = [str(path) for path in paths[start : start + _CHUNK]]
            reply = workers.ask(engine, do="classify", paths=chunk, batch=batch)
            if reply is None:
                return Predicted([], []), {}
            predicted.labels.extend(reply["labels"])
            predicted.confidences.extend(reply["confidences"])
            ms.append(reply["seconds"] * 1000 / len(chunk))
            advance(len(chunk), "")
    seconds = sum(ms) * len(paths) / len(ms) / 1000
    return predicted, {Task(engine, "end-to-end", batch): Warm(ms[0], float(np.median(ms)), len(paths), seconds)}


def run_rounds(
    workers: Workers, schedule: Schedule, paths: Sequence[Path], seed: int, energy: Energy | None = None
) -> dict[Task, Times]:
    """Gives every task one turn per round, in random order; tasks of failed engines are removed.

    energy: accumulates the energy of the turns.
    """
    rng = np.random.default_rng(seed)
    tasks = list(schedule.calls)
    times: dict[Task, Times] = {task: [] for task in tasks}
    with progress("measuring, turn", schedule.rounds * len(tasks)) as advance:
        for _ in range(schedule.rounds):
            for number in rng.permutation(len(tasks)):
                task = tasks[number]
                turn = take_turn(workers, task, schedule.calls[task], paths, energy)
                if turn is not None:
                    times[task].append(turn)
                advance(1, task.engine)
    return {task: rounds for task, rounds in times.items() if task.engine in workers.running}


def ask_each(workers: Workers, engines: Sequence[str], title: str, **request: Any) -> dict[str, dict[str, Any]]:
    """Sends the same request to one engine after the other; engines that fail are omitted."""
    replies = {}
    with progress(f"{title}, engine", len(engines)) as advance:
        for engine in engines:
            reply = workers.ask(engine, **request)
            if reply is not None:
                replies[engine] = reply
            advance(1, engine)
    return replies


def finish_engines(workers: Workers) -> dict[str, Finished]:
    """Final statistics of every running worker."""
    replies = {name: workers.ask(name, do="finish") for name in list(workers.running)}
    return {name: Finished(**reply) for name, reply in replies.items() if reply is not None}


def take_turn(
    workers: Workers, task: Task, calls: int, paths: Sequence[Path], energy: Energy | None = None
) -> list[float] | None:
    """Durations of one turn: per call, or for end-to-end per image; None if the engine fails."""
    if task.scenario == "end-to-end":
        images = [str(paths[number % len(paths)]) for number in range(calls)]
        reply = workers.ask(task.engine, do="classify", paths=images, batch=task.batch)
    else:
        reply = workers.ask(task.engine, do="time", images=task.images_a_call, batch=task.batch, calls=calls)
    if reply is None:
        return None
    if energy is not None:
        energy.add(task, calls * task.images_a_call, reply["joules"])
    return [reply["seconds"] * 1000 / calls] if task.scenario == "end-to-end" else [float(ms) for ms in reply["ms"]]
