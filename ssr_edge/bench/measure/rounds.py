"""Drives the workers: load, warm up, classify the images once, then take turns in rounds."""

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

# What `infer` hands to an engine at once.
END_TO_END_BATCH = 8
# Few enough that an answer comes, and the progress bar moves, within seconds.
_CHUNK = 32
# Different images, so that no engine lives off one that stays in the cache.
_POOL = 8
# Unreadable ones among them are passed over.
_CANDIDATES = 100
# A larger batch that brings no more than this is not followed by a still larger one.
_GAIN = 1.02


@dataclass(frozen=True)
class Loaded:
    """What a worker said of its engine. origin: where it came from, in words. load_ms: how long loading took.

    threads: that it computes with; None on a GPU.
    """

    version: str
    device: str
    origin: str
    max_batch: int
    load_ms: float
    threads: int | None = None


@dataclass(frozen=True)
class Warm:
    """A task's first call and its time once settled, in ms a call; for end-to-end ms an image.

    calls, seconds: of the warm-up.
    """

    first_ms: float
    settled_ms: float
    calls: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class WarmedUp:
    """tasks: those of the scenarios that an engine is timed in. batch_ms: ms of a call at each batch tried.

    peak_rss_mb: its process's before larger batches than a query were tried, which need more.
    """

    tasks: dict[Task, Warm]
    batch_ms: dict[int, float]
    peak_rss_mb: float | None


@dataclass(frozen=True)
class Finished:
    """A worker's last words. others_share: of the processor, taken by other programs while it was timed, 0 to 1.

    meters: of energy, by name what is inside its figure. no_meters: why there are no more, in words.
    """

    others_share: float | None
    device_mb: float | None = None
    meters: dict[str, str] = field(default_factory=dict)
    no_meters: list[str] = field(default_factory=list)


@dataclass
class Energy:
    """Joules by meter, and the images they were taken for, of each task."""

    joules: dict[Task, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    images: Counter[Task] = field(default_factory=Counter)

    def add(self, task: Task, images: int, joules: Mapping[str, float]) -> None:
        """Counts a turn."""
        self.images[task] += images
        for meter, found in joules.items():
            self.joules[task][meter] += found  # type: ignore[assignment]

    def an_image(self, task: Task) -> dict[str, float]:
        """Joules of an image by meter; empty where none could be read."""
        return {meter: joules / self.images[task] for meter, joules in self.joules.get(task, {}).items()}


# Call times in ms, a list for each round; for end-to-end one value a round: ms an image.
Times = list[list[float]]


def start_engine(
    workers: Workers, spec: EngineSpec, paths: Sequence[Path], batches: Sequence[int], name: str | None = None
) -> Loaded | None:
    """Starts a worker and loads its engine; None if it fails. name: of the worker, where not the engine's."""
    name = name or spec.name
    workers.running[name] = WorkerProcess()
    images = [str(path) for path in paths[:_CANDIDATES]]
    reply = workers.ask(name, do="load", spec=asdict(spec), images=images, pool=max(_POOL, *batches))
    return None if reply is None else Loaded(**reply)


def warm_engine(
    workers: Workers, engine: str, max_batch: int, batches: Sequence[int], budget: Budget
) -> WarmedUp | None:
    """Warms an engine up at batch 1, a query's and offline's, and finds its best batch; None if it fails.

    batches: of offline, each a row; empty for the best of the effort's.
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
    """Calls an engine with batches until its time settles; None if it fails."""
    reply = workers.ask(engine, do="warm", batch=batch, limit_s=budget.warm_s)
    return None if reply is None else Warm(**reply)


def _batches_to_try(
    max_batch: int, query: int, batches: Sequence[int], budget: Budget, warm: Mapping[int, Warm]
) -> Iterator[int]:
    """Those of the scenarios; then, where none was asked for, larger ones as long as they bring something."""
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
    """What the engine says of every image, and the pass as warm-up of the end-to-end task."""
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
    """Gives every task its turn in every round, in an order drawn anew each time; tasks of failed engines drop out.

    energy: counts the joules of the turns.
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
    """The same request to one engine after the other; what fails is left out."""
    replies = {}
    with progress(f"{title}, engine", len(engines)) as advance:
        for engine in engines:
            reply = workers.ask(engine, **request)
            if reply is not None:
                replies[engine] = reply
            advance(1, engine)
    return replies


def finish_engines(workers: Workers) -> dict[str, Finished]:
    """The last words of every worker that still runs."""
    replies = {name: workers.ask(name, do="finish") for name in list(workers.running)}
    return {name: Finished(**reply) for name, reply in replies.items() if reply is not None}


def take_turn(
    workers: Workers, task: Task, calls: int, paths: Sequence[Path], energy: Energy | None = None
) -> list[float] | None:
    """The times of a turn: of each call, or for end-to-end of an image; None if the engine fails."""
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
