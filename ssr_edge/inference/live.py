"""Real-time mode: only the newest frame is classified, so that the delay from capture to label does not grow."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from threading import Condition, Event, Thread
from types import TracebackType

from typing_extensions import Self

from ssr_edge.common.progress import Log
from ssr_edge.inference.latency import LatencyHistogram
from ssr_edge.inference.pipeline import Failure, submit, to_result
from ssr_edge.inference.prediction import Prediction
from ssr_edge.inference.read_ahead import JOIN_S, decode_input
from ssr_edge.runners.base import Runner, TakesOriginals
from ssr_edge.sources.inputs import Input

REPORT_EVERY_S = 10.0
_FPS_OVER = 30


class LatestFrame:
    """Reads a source in a thread and keeps only its newest frame.

    frames: number of frames read so far. dropped: number of frames replaced by a newer one before the engine was free.
    stop: set on exit, so that a waiting source can end.
    """

    def __init__(self, inputs: Iterable[Input], stop: Event) -> None:
        self.frames = self.dropped = 0
        self._inputs, self._stop = inputs, stop
        self._changed = Condition()
        self._newest: Input | None = None
        self._ended = False
        self._error: BaseException | None = None
        self._reader = Thread(target=self._read, name="source", daemon=True)

    def take(self) -> Input | None:
        """Waits for a new frame; None after the last. Raises any exception of the source."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._ended)
            item, self._newest = self._newest, None
            if item is None and self._error is not None:
                raise self._error
            return item

    def _read(self) -> None:
        try:
            for item in self._inputs:
                with self._changed:
                    self.frames += 1
                    self.dropped += self._newest is not None
                    self._newest = item
                    self._changed.notify()
                if self._stop.is_set():
                    break
        except BaseException as error:  # raised again in the main thread
            self._error = error
        finally:
            if isinstance(self._inputs, Generator):
                self._inputs.close()
            with self._changed:
                self._ended = True
                self._changed.notify()

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._reader.join(JOIN_S)


def classify_live(
    newest: LatestFrame, runner: Runner, magnification: int | None = None, *, keep_images: bool = False
) -> Iterator[Prediction | Failure]:
    """Yields a result for each frame that was the newest when the engine became free, until the source ends.

    Only one frame is in flight: a second would wait for the first and be outdated by the time it is classified.
    magnification, keep_images: as for `classify`.
    """
    while (item := newest.take()) is not None:
        decoded = decode_input(item, keep_images, isinstance(runner, TakesOriginals))
        if decoded.image is None:
            probabilities = None
        else:
            probabilities = runner.collect(submit(runner, [decoded.image])).probabilities[0]
        yield to_result(decoded, probabilities, magnification, time.perf_counter())


class LiveReport:
    """Logs the number of frames read and dropped, and the latency, every ten seconds and at the end.

    log: called with each line; None to log nothing.
    """

    def __init__(self, newest: LatestFrame, log: Log | None = None) -> None:
        self._newest, self._log = newest, log
        self._all, self._lately = LatencyHistogram(), LatencyHistogram()
        self._started = self._reported = time.perf_counter()
        self._before = (0, 0)
        self._times: deque[float] = deque(maxlen=_FPS_OVER)

    def add(self, prediction: Prediction) -> None:
        """Counts a result."""
        now = time.perf_counter()
        self._times.append(now)
        self._all.add(prediction.latency_ms)
        self._lately.add(prediction.latency_ms)
        if now - self._reported >= REPORT_EVERY_S:
            frames, dropped = self._newest.frames, self._newest.dropped
            since = (frames - self._before[0], dropped - self._before[1])
            self._print("live", self._lately, *since, now - self._reported)
            self._reported, self._before, self._lately = now, (frames, dropped), LatencyHistogram()

    def fps(self) -> float:
        """Labels per second, over the last thirty labels."""
        return (len(self._times) - 1) / (self._times[-1] - self._times[0]) if len(self._times) > 1 else 0.0

    def finish(self) -> None:
        """Logs the statistics of the whole run, unless no frame was read."""
        if self._newest.frames:
            seconds = time.perf_counter() - self._started
            self._print("live, whole run", self._all, self._newest.frames, self._newest.dropped, seconds)

    def _print(self, title: str, latencies: LatencyHistogram, frames: int, dropped: int, seconds: float) -> None:
        if self._log is not None:
            labels = latencies.counts.total()
            self._log(
                f"{title}: {frames} frames in {seconds:.1f} s, {dropped} dropped, {labels / seconds:.1f} labels/s, "
                f"latency {latencies}"
            )
