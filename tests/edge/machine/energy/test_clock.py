from __future__ import annotations

from pathlib import Path

import pytest

from ssr_edge.machine.energy import clock
from ssr_edge.machine.energy.clock import EnergyClock
from ssr_edge.machine.energy.find import Found, find_meters
from ssr_edge.machine.energy.meter import Unmeasurable


class Fake:
    """Takes `watts` for as long as the fake clock runs on; fails at the reading numbered `fails_at`."""

    def __init__(self, name: str, watts: float, fails_at: int = 0) -> None:
        self.name, self.what, self._watts = name, f"all of the {name}", watts
        self._fails_at, self._readings, self._started = fails_at, 0, 0.0

    def start(self) -> None:
        self._read()
        self._started = clock.time.perf_counter()

    def stop(self) -> float:
        self._read()
        return (clock.time.perf_counter() - self._started) * self._watts

    def _read(self) -> None:
        self._readings += 1
        if self._readings == self._fails_at:
            raise Unmeasurable(f"the {self.name} is gone")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as its only element."""
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(clock.time, "sleep", sleep)
    return now


def test_only_what_was_watched_is_counted(now: list[float]) -> None:
    energy = EnergyClock(Found([Fake("cpu", 40), Fake("gpu", 200)], ["no module"]))
    assert energy.idle_watts(2.0) == {"cpu": 40, "gpu": 200}
    for seconds in (1.5, 0.5):
        with energy.watch():
            now[0] += seconds
        now[0] += 1000
    assert energy.joules() == {"cpu": 80, "gpu": 400}
    assert energy.watched_s() == 2
    assert energy.what() == {"cpu": "all of the cpu", "gpu": "all of the gpu"}
    assert energy.reasons() == ["no module"]


@pytest.mark.parametrize("fails_at", [1, 2, 3, 4])
def test_a_meter_that_fails_costs_itself(now: list[float], fails_at: int) -> None:
    energy = EnergyClock(Found([Fake("cpu", 40), Fake("gpu", 200, fails_at)], []))
    for _ in range(2):
        with energy.watch():
            now[0] += 1
    assert energy.joules() == {"cpu": 80}
    assert energy.reasons() == ["the gpu is gone"]


def test_an_engine_that_fails_meanwhile_stops_the_meters(now: list[float]) -> None:
    energy = EnergyClock(Found([Fake("cpu", 40)], []))

    def fail() -> None:
        with energy.watch():
            now[0] += 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert energy.joules() == {"cpu": 40}


def test_a_machine_that_tells_nothing_gives_its_reasons(tmp_path: Path) -> None:
    energy = EnergyClock(find_meters(tmp_path))
    with energy.watch():
        pass
    assert energy.joules() == energy.idle_watts(0) == {}
    assert len(energy.reasons()) == 3
