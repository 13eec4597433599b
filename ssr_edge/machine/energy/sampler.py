"""Energy from a power sensor: sampled in a thread and integrated."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from ssr_edge.machine.energy.meter import Unmeasurable

# Short relative to a benchmark turn (at least 0.15 s), long relative to a reading (I2C: about 1 ms).
_PERIOD_S = 0.02


class SampledMeter:
    """See Meter. watts: reads the sensor; OSError and ValueError count as failures. The thread runs while measuring."""

    def __init__(self, name: str, what: str, watts: Callable[[], float]) -> None:
        self.name, self.what, self._watts = name, what, watts
        self._samples: list[tuple[float, float]] = []
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    def start(self) -> None:
        """See Meter."""
        self._samples, self._failure = [], None
        self._done.clear()
        self._sample()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """See Meter."""
        assert self._thread is not None, "stop() before start()"
        self._done.set()
        self._thread.join()
        if self._failure is not None:
            raise Unmeasurable(f"{self.name}: {self._failure}") from self._failure
        self._sample()
        return integral(self._samples)

    def _run(self) -> None:
        try:
            while not self._done.wait(_PERIOD_S):
                self._sample()
        except Unmeasurable as error:
            self._failure = error

    def _sample(self) -> None:
        before = time.perf_counter()
        try:
            watts = self._watts()
        except (OSError, ValueError) as error:
            raise Unmeasurable(f"{self.name} can't be read: {error}") from error
        self._samples.append(((before + time.perf_counter()) / 2, watts))


def integral(samples: Sequence[tuple[float, float]]) -> float:
    """Joules of (seconds, watts) samples in time order, by the trapezoidal rule."""
    return sum((later - earlier) * (before + after) / 2 for (earlier, before), (later, after) in pairwise(samples))
