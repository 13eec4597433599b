"""Runs one engine in its own process: blocks on stdin, reads one JSON line per request, writes one JSON line per reply.

Engines that share a process disturb each other's timing: PyTorch's threads keep spinning after a call and slow down
whatever runs next. Started as `python -m ssr_edge.bench.measure.worker` by `ssr_edge.bench.measure.process`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ssr_edge.bench.measure.engines import EngineSpec, open_engine
from ssr_edge.bench.measure.live import time_live
from ssr_edge.bench.measure.phases import state_under_load, time_phases
from ssr_edge.bench.measure.stages import time_stages
from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import InputError, SsrEdgeError
from ssr_edge.images.preprocess import Image, load_first
from ssr_edge.inference.pipeline import classify
from ssr_edge.inference.prediction import Prediction
from ssr_edge.machine.contention import ContentionClock
from ssr_edge.machine.energy.clock import EnergyClock
from ssr_edge.machine.energy.find import find_meters
from ssr_edge.machine.environment import usable_cores
from ssr_edge.machine.memory import device_mb, peak_rss_mb
from ssr_edge.runners.base import Runner
from ssr_edge.sources.inputs import still

# Warm-up ends when two consecutive groups of this many calls agree within the tolerance.
_GROUP, _TOLERANCE, _AT_LEAST_S = 5, 0.05, 0.2
_IDLE_S, _IDLE_SHARE, _IDLE_LIMIT_S = 0.02, 0.1, 1.0

Reply = dict[str, Any]


class Worker:
    """The commands. Each reply is sent only after the engine's threads have become idle."""

    runner: Runner
    single: Runner  # the engine for calls of one image, if different
    pool: Image  # uint8 BGR [n, 224, 224, 3], classified in turn

    def __init__(self) -> None:
        self._contention = ContentionClock()
        self._energy = EnergyClock(find_meters())

    def load(self, spec: dict[str, Any], images: list[str], pool: int) -> Reply:
        """Loads the engine and `pool` images, repeating files if there are fewer."""
        started = time.perf_counter()
        self._spec = EngineSpec(**spec)
        self.runner = open_engine(self._spec)
        load_ms = _ms_since(started)
        self.single = open_engine(self._spec, single=True) if self._spec.runtime == "openvino" else self.runner
        self.pool = _load_pool(images, pool)
        runner = self.runner
        return {
            "version": runner.version,
            "device": runner.device,
            "origin": runner.origin,
            "max_batch": runner.max_batch,
            "load_ms": load_ms,
            "threads": runner.threads,
        }

    def warm(self, batch: int, limit_s: float) -> Reply:
        """Calls the engine until its latency settles or `limit_s` has passed."""
        times: list[float] = []
        started = time.perf_counter()
        while True:
            times += self._times(batch, batch, 1, len(times))
            spent = time.perf_counter() - started
            if (spent >= _AT_LEAST_S and _is_settled(times)) or (spent >= limit_s and len(times) >= 2):
                settled_ms = float(np.median(times[-_GROUP:]))
                return {"first_ms": times[0], "settled_ms": settled_ms, "calls": len(times), "seconds": spent}

    def memory(self) -> Reply:
        """Peak memory of this process."""
        return {"peak_rss_mb": peak_rss_mb()}

    def time(self, images: int, batch: int, calls: int) -> Reply:
        """Duration of each of `calls` calls on `images` images, in batches, and their total energy in joules.

        One untimed image before them warms the caches.
        """
        self._times(1, 1, 1, 0)
        before = self._energy.joules()
        with self._contention.watch(), self._energy.watch():
            ms = self._times(images, batch, calls, 1)
        return {"ms": ms, "joules": self._joules_since(before)}

    def live(self, paths: list[str], fps: float, seconds: float) -> Reply:
        """Frames at a fixed rate: see `time_live`."""
        with self._contention.watch():
            return time_live(self.single, paths, fps, seconds)

    def stages(self, paths: list[str], batch: int) -> Reply:
        """Time of each end-to-end stage: see `time_stages`."""
        return time_stages(self.single if batch == 1 else self.runner, paths, batch)

    def classify(self, paths: list[str], batch: int) -> Reply:
        """Image files to labels, end to end; label and confidence are None for unreadable files."""
        before, started = self._energy.joules(), time.perf_counter()
        with self._contention.watch(), self._energy.watch():
            results = list(classify(map(still, map(Path, paths)), self.runner, batch, usable_cores()))
        seconds = time.perf_counter() - started
        predictions = [result if isinstance(result, Prediction) else None for result in results]
        return {
            "seconds": seconds,
            "joules": self._joules_since(before),
            "labels": [None if found is None else CLASSES.index(found.label) for found in predictions],
            "confidences": [None if found is None else found.confidence for found in predictions],
        }

    def finish(self) -> Reply:
        """Final worker statistics: GPU memory, CPU use of other programs, and energy meters."""
        return {
            "others_share": self._contention.share(),
            "device_mb": device_mb(),
            "meters": self._energy.what(),
            "no_meters": self._energy.reasons(),
        }

    def phases(self, batches: list[int], calls: int) -> Reply:
        """GPU phases of a call at each batch size; empty for an engine that does not use a GPU."""
        return {"phases": [asdict(row) for row in time_phases(self.runner, self.pool, batches, calls)]}

    def gpu_state(self, seconds: float) -> Reply:
        """GPU state after `seconds` of load; None for an engine that does not use a GPU."""
        state = state_under_load(self.runner, self.pool, seconds)
        return {"state": None if state is None else asdict(state)}

    def profile(self, calls: int) -> Reply:
        """Time of each layer at batch 1. Opens the engine a second time, so call it after `finish`."""
        from ssr_edge.bench.profile.runtimes.choose import profile_engine

        return profile_engine(self._spec, self.pool, calls).as_json()

    def peaks(self, seconds: float) -> Reply:
        """Peak rates of the machine, each measured for about `seconds`; needs no engine."""
        from ssr_edge.bench.profile.peaks import measure_peaks

        return asdict(measure_peaks(seconds))

    def _times(self, images: int, batch: int, calls: int, first: int) -> list[float]:
        starts = [start * images % (len(self.pool) - images + 1) for start in range(first, first + calls)]
        times = []
        for start in starts:
            began = time.perf_counter()
            if images == batch:
                (self.single if images == 1 else self.runner).infer(self.pool[start : start + images])
            else:
                self._infer_in_batches(self.pool[start : start + images], batch)
            times.append(_ms_since(began))
        return times

    def _joules_since(self, before: dict[str, float]) -> dict[str, float]:
        return {meter: joules - before[meter] for meter, joules in self._energy.joules().items()}

    def _infer_in_batches(self, images: Image, batch: int) -> None:
        in_flight: deque[int] = deque()
        for start in range(0, len(images), batch):
            if len(in_flight) == self.runner.slots:
                self.runner.collect(in_flight.popleft())
            in_flight.append(self.runner.submit(images[start : start + batch]))
        while in_flight:
            self.runner.collect(in_flight.popleft())


def serve(requests: Iterable[str], replies: TextIO) -> None:
    """Replies to each request line until end of input. Errors are sent as a reply and end the loop."""
    worker = Worker()
    commands: dict[str, Callable[..., Reply]] = {
        name: getattr(worker, name)
        for name in (
            *("load", "warm", "memory", "time", "classify", "live", "stages", "finish"),
            *("phases", "gpu_state", "profile", "peaks"),
        )
    }
    for line in requests:
        request = json.loads(line)
        try:
            reply = commands[request.pop("do")](**request)
            _wait_until_idle()
        except SsrEdgeError as error:
            reply = {"error": f"{error.found} (next: {error.next_step})"}
        except Exception as error:
            # A runtime may raise anything; the engine loses its rows and the report shows the reason.
            reply = {"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}
        print(json.dumps(reply), file=replies, flush=True)
        if "error" in reply:
            return


def claim_stdout() -> TextIO:
    """Returns a stream to the real stdout; redirects everything libraries print, including from C, to stderr."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return replies


def _wait_until_idle() -> None:
    """Waits until this process uses almost no CPU time, so that spinning threads do not slow the next engine."""
    deadline = time.perf_counter() + _IDLE_LIMIT_S
    while time.perf_counter() < deadline:
        used = time.process_time()
        time.sleep(_IDLE_S)
        if time.process_time() - used < _IDLE_SHARE * _IDLE_S:
            return


def _is_settled(times: list[float]) -> bool:
    if len(times) < 2 * _GROUP:
        return False
    before, now = np.median(times[-2 * _GROUP : -_GROUP]), np.median(times[-_GROUP:])
    return bool(abs(now - before) <= _TOLERANCE * before)


def _load_pool(paths: list[str], size: int) -> Image:
    images = load_first(paths, size)
    if not images:
        raise InputError(
            f"none of the {len(paths)} images can be read",
            expected="at least one readable image",
            next_step="ssr-edge bench  (without FOLDER it uses its sample images)",
        )
    return np.stack([images[number % len(images)] for number in range(size)])


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    serve(sys.stdin, claim_stdout())
