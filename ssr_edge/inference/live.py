"""Real-time mode: the newest frame wins, so that the delay from capture to label never grows."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from threading import Condition, Event, Thread
from types import TracebackType

from typing_extensions import Self

from ssr_edge.inference.latency import LatencyHistogram
from ssr_edge.inference.pipeline import Failure, submit, to_result
from ssr_edge.inference.prediction import Prediction
from ssr_edge.inference.read_ahead import JOIN_S, decode_input
from ssr_edge.runners.base import Runner, TakesOriginals
from ssr_edge.sources.inputs import Input

REPORT_EVERY_S = 10.0
_FPS_OVER = 30


class LatestFrame:
    """Reads a source in a thread and holds only its newest frame.

    frames: read so far. dropped: of these, those that a newer one replaced before the engine was free.
    stop: set when this is left, so that a source which waits for something can end.
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
        """Waits for a frame that was not taken yet; None after the last. Raises what the source raised."""
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
        except BaseException as error:  # whatever it is, it ends the run in the main thread
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
    """Yields a result for each frame that was the newest when the engine was free, until the source ends.

    One frame is under way at a time: a second would only wait for the first, and be older when its turn comes.
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
    """Says on stderr, every ten seconds and at the end, how many frames came, were dropped, and the latency."""

    def __init__(self, newest: LatestFrame) -> None:
        self._newest = newest
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
            self._say("live", self._lately, *since, now - self._reported)
            self._reported, self._before, self._lately = now, (frames, dropped), LatencyHistogram()

    def fps(self) -> float:
        """Labels a second, over the last thirty."""
        return (len(self._times) - 1) / (self._times[-1] - self._times[0]) if len(self._times) > 1 else 0.0

    def finish(self) -> None:
        """Prints the whole run's figures, unless no frame ever came."""
        if not self._newest.frames:
            return
        seconds = time.perf_counter() - self._started
        self._say("live, whole run", self._all, self._newest.frames, self._newest.dropped, seconds)

    def _say(self, title: str, latencies: LatencyHistogram, frames: int, dropped: int, seconds: float) -> None:
        labels = latencies.counts.total()
        print(
            f"{title}: {frames} frames in {seconds:.1f} s, {dropped} dropped, {labels / seconds:.1f} labels/s, "
            f"latency {latencies}",
            file=sys.stderr,
            flush=True,
        )
