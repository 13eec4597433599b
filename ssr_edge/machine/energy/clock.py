"""Accumulates the energy used while an engine is timed, as `ContentionClock` does for processor time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ssr_edge.machine.energy.find import Found
from ssr_edge.machine.energy.meter import Meter, Unmeasurable


class EnergyClock:
    """Accumulates several meters. A meter that fails is dropped with its readings; `reasons` records why."""

    def __init__(self, found: Found) -> None:
        self._meters = list(found.meters)
        self._reasons = list(found.reasons)
        self._joules = {meter.name: 0.0 for meter in self._meters}

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Adds the energy used inside the block."""
        self._each(lambda meter: meter.start())
        try:
            yield
        finally:
            self._each(self._add)

    def joules(self) -> dict[str, float]:
        """Energy by meter, including the machine's idle power."""
        return dict(self._joules)

    def what(self) -> dict[str, str]:
        """What each meter includes."""
        return {meter.name: meter.what for meter in self._meters}

    def reasons(self) -> list[str]:
        """Why other meters are missing."""
        return list(self._reasons)

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
