from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssr_edge.machine import contention
from ssr_edge.machine.contention import ContentionClock, busy_seconds


def _set_clocks(monkeypatch: pytest.MonkeyPatch, busy: list[float | None], own: list[float], wall: list[float]) -> None:
    """Makes the three clocks give these values, one after the other, on a machine of two cores."""

    def each(values: Iterator[float | None]) -> object:
        return lambda: next(values)

    monkeypatch.setattr(contention, "busy_seconds", each(iter(busy)))
    monkeypatch.setattr(time, "process_time", each(iter(own)))
    monkeypatch.setattr(time, "perf_counter", each(iter(wall)))
    monkeypatch.setattr(contention, "usable_cores", lambda: 2)


def test_what_is_not_ours_is_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    # First block: 2 s on two cores, 3 s busy, 1 s of it ours. Second block: 2 s, all 2 s busy are ours.
    _set_clocks(monkeypatch, busy=[10, 13, 20, 22], own=[1, 2, 3, 5], wall=[0, 2, 5, 7])
    clock = ContentionClock()
    for _ in range(2):
        with clock.watch():
            pass
    assert clock.share() == pytest.approx(2 / (4 * 2))


def test_ticks_that_come_late_never_give_a_negative_share(monkeypatch: pytest.MonkeyPatch) -> None:
    _set_clocks(monkeypatch, busy=[10, 10], own=[0, 0.01], wall=[0, 1])
    clock = ContentionClock()
    with clock.watch():
        pass
    assert clock.share() == 0


def test_a_system_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    _set_clocks(monkeypatch, busy=[None, None], own=[0, 1], wall=[0, 1])
    clock = ContentionClock()
    with clock.watch():
        pass
    assert clock.share() is None


def test_busy_time_counts_the_usable_cores_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = tmp_path / "stat"
    stat.write_text(
        "cpu  999 999 999 999 999 999 999 999 0 0\n"
        "cpu0 100 20 30 5000 600 1 2 7 50 0\n"  # idle, iowait and guest do not count: 160
        "cpu1 40 0 0 5000 0 0 0 0 0 0\n"
        "cpu11 7777 0 0 0 0 0 0 0 0 0\n"
        "intr 12345\n"
    )
    monkeypatch.setattr(contention, "_STAT", stat)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert busy_seconds() == pytest.approx(200 / os.sysconf("SC_CLK_TCK"))


def test_without_proc_there_is_no_busy_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contention, "_STAT", tmp_path / "none")
    assert busy_seconds() is None
