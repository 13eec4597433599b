"""Adds up the energy taken while an engine is timed, as `ContentionClock` does with the processor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ssr_edge.machine.energy.find import Found
from ssr_edge.machine.energy.meter import Meter, Unmeasurable


class EnergyClock:
    """Of several meters. One that fails is left out from then on, with all it had measured, and `reasons` says why."""

    def __init__(self, found: Found) -> None:
        self._meters = list(found.meters)
        self._reasons = list(found.reasons)
        self._joules = {meter.name: 0.0 for meter in self._meters}
        self._watched_s = 0.0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Counts the energy and the time of its block."""
        self._each(lambda meter: meter.start())
        started = time.perf_counter()
        try:
            yield
        finally:
            self._watched_s += time.perf_counter() - started
            self._each(self._add)

    def joules(self) -> dict[str, float]:
        """By meter: energy while it watched, the idle machine's included. Divide by the images for joules an image."""
        return dict(self._joules)

    def watched_s(self) -> float:
        """How long it watched."""
        return self._watched_s

    def what(self) -> dict[str, str]:
        """By meter: what is inside its figure, in words."""
        return {meter.name: meter.what for meter in self._meters}

    def reasons(self) -> list[str]:
        """Why there is no more than that, in words."""
        return list(self._reasons)

    def idle_watts(self, seconds: float = 1.0) -> dict[str, float]:
        """By meter: power while this process sleeps; it is up to the caller that others do, too.

        Joules above idle are `joules - idle_watts * watched_s`.
        """
        idle: dict[str, float] = {}

        def read(meter: Meter) -> None:
            idle[meter.name] = meter.stop() / (time.perf_counter() - started)

        self._each(lambda meter: meter.start())
        started = time.perf_counter()
        time.sleep(seconds)
        self._each(read)
        return idle

    def _add(self, meter: Meter) -> None:
        self._joules[meter.name] += meter.stop()

    def _each(self, act: Callable[[Meter], None]) -> None:
        for meter in list(self._meters):
            try:
                act(meter)
            except Unmeasurable as error:
                self._meters.remove(meter)
                del self._joules[meter.name]
                self._reasons.append(str(error))
