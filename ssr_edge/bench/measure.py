"""Drives the workers: load, warm up, classify the images once, then take turns in rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ssr_edge.bench.accuracy import Predicted
from ssr_edge.bench.engines import EngineSpec
from ssr_edge.bench.process import WorkerProcess, Workers
from ssr_edge.bench.schedule import Effort, Schedule, Task
from ssr_edge.progress import progress

# What `infer` hands to an engine at once.
END_TO_END_BATCH = 8
# Few enough that an answer comes, and the progress bar moves, within seconds.
_CHUNK = 32
# Different images, so that no engine lives off one that stays in the cache.
_POOL = 8
# Unreadable ones among them are passed over.
_CANDIDATES = 100


@dataclass(frozen=True)
class Loaded:
    """What a worker said of its engine. origin: where it came from, in words. load_ms: how long loading took."""

    version: str
    device: str
    origin: str
    max_batch: int
    load_ms: float


@dataclass(frozen=True)
class Warm:
    """A task's first call and its time once settled, in ms a call; for end-to-end ms an image."""

    first_ms: float
    settled_ms: float


@dataclass(frozen=True)
class Finished:
    """A worker's last words. others_share: of the processor, taken by other programs while it was timed, 0 to 1."""

    peak_rss_mb: float | None
    others_share: float | None


# Call times in ms, a list for each round; for end-to-end one value a round: ms an image.
Times = list[list[float]]


def start_engine(workers: Workers, spec: EngineSpec, paths: Sequence[Path], batches: Sequence[int]) -> Loaded | None:
    """Starts a worker and loads its engine; None if it fails."""
    workers.running[spec.name] = WorkerProcess()
    images = [str(path) for path in paths[:_CANDIDATES]]
    reply = workers.ask(spec.name, do="load", spec=asdict(spec), images=images, pool=max(_POOL, *batches))
    return None if reply is None else Loaded(**reply)


def warm_engine(workers: Workers, engine: str, batches: Sequence[int], effort: Effort) -> dict[Task, Warm]:
    """Warms an engine up at batch 1 and at each other batch; empty if it fails."""
    tasks: dict[Task, Warm] = {}
    for batch in sorted({1, *batches}):
        reply = workers.ask(engine, do="warm", batch=batch, limit_s=effort.warm_s)
        if reply is None:
            return {}
        warm = Warm(reply["first_ms"], reply["settled_ms"])
        if batch == 1:
            tasks[Task(engine, "single-stream", 1)] = warm
        if batch in batches:
            tasks[Task(engine, "offline", batch)] = warm
    return tasks


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
    return predicted, {Task(engine, "end-to-end", batch): Warm(ms[0], float(np.median(ms)))}


def run_rounds(workers: Workers, schedule: Schedule, paths: Sequence[Path], seed: int) -> dict[Task, Times]:
    """Gives every task its turn in every round, in an order drawn anew each time; tasks of failed engines drop out."""
    rng = np.random.default_rng(seed)
    tasks = list(schedule.calls)
    times: dict[Task, Times] = {task: [] for task in tasks}
    with progress("measuring, turn", schedule.rounds * len(tasks)) as advance:
        for _ in range(schedule.rounds):
            for number in rng.permutation(len(tasks)):
                task = tasks[number]
                turn = _take_turn(workers, task, schedule.calls[task], paths)
                if turn is not None:
                    times[task].append(turn)
                advance(1, task.engine)
    return {task: rounds for task, rounds in times.items() if task.engine in workers.running}


def finish_engines(workers: Workers) -> dict[str, Finished]:
    """The last words of every worker that still runs."""
    replies = {name: workers.ask(name, do="finish") for name in list(workers.running)}
    return {name: Finished(**reply) for name, reply in replies.items() if reply is not None}


def _take_turn(workers: Workers, task: Task, calls: int, paths: Sequence[Path]) -> list[float] | None:
    if task.scenario == "end-to-end":
        images = [str(paths[number % len(paths)]) for number in range(calls)]
        reply = workers.ask(task.engine, do="classify", paths=images, batch=task.batch)
        return None if reply is None else [reply["seconds"] * 1000 / calls]
    reply = workers.ask(task.engine, do="time", batch=task.batch, calls=calls)
    return None if reply is None else [float(ms) for ms in reply["ms"]]
