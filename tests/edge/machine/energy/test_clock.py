from __future__ import annotations

from pathlib import Path

import pytest

from ssr_edge.machine.energy.clock import EnergyClock
from ssr_edge.machine.energy.find import Found, find_meters
from ssr_edge.machine.energy.meter import Unmeasurable


class Fake:
    """Uses `watts` while the fake clock advances; fails at reading number `fails_at`."""

    def __init__(self, now: list[float], name: str, watts: float, fails_at: int = 0) -> None:
        self._now = now
        self.name, self.what, self._watts = name, f"all of the {name}", watts
        self._fails_at, self._readings, self._started = fails_at, 0, 0.0

    def start(self) -> None:
        self._read()
        self._started = self._now[0]

    def stop(self) -> float:
        self._read()
        return (self._now[0] - self._started) * self._watts

    def _read(self) -> None:
        self._readings += 1
        if self._readings == self._fails_at:
            raise Unmeasurable(f"the {self.name} is gone")


@pytest.fixture
def now() -> list[float]:
    """The time of the fake clock, as its only element."""
    return [100.0]


def test_only_watched_energy_is_counted(now: list[float]) -> None:
    energy = EnergyClock(Found([Fake(now, "cpu", 40), Fake(now, "gpu", 200)], ["no module"]))
    for seconds in (1.5, 0.5):
        with energy.watch():
            now[0] += seconds
        now[0] += 1000
    assert energy.joules() == {"cpu": 80, "gpu": 400}
    assert energy.what() == {"cpu": "all of the cpu", "gpu": "all of the gpu"}
    assert energy.reasons() == ["no module"]


@pytest.mark.parametrize("fails_at", [1, 2, 3, 4])
def test_a_failing_meter_is_dropped(now: list[float], fails_at: int) -> None:
    energy = EnergyClock(Found([Fake(now, "cpu", 40), Fake(now, "gpu", 200, fails_at)], []))
    for _ in range(2):
        with energy.watch():
            now[0] += 1
    assert energy.joules() == {"cpu": 80}
    assert energy.reasons() == ["the gpu is gone"]


def test_an_engine_that_fails_meanwhile_stops_the_meters(now: list[float]) -> None:
    energy = EnergyClock(Found([Fake(now, "cpu", 40)], []))

    def fail() -> None:
        with energy.watch():
            now[0] += 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert energy.joules() == {"cpu": 40}


def test_a_machine_without_meters_gives_its_reasons(tmp_path: Path) -> None:
    energy = EnergyClock(find_meters(tmp_path))
    with energy.watch():
        pass
    assert energy.joules() == {}
    assert len(energy.reasons()) == 3
