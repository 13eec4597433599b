from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.machine.energy.meter import Unmeasurable
from ssr_edge.machine.energy.sampler import SampledMeter, integral

_TIMES = st.lists(st.floats(0, 1000), min_size=2, max_size=50).map(sorted)


@given(times=_TIMES, start=st.floats(0, 100), slope=st.floats(-0.1, 10))
def test_power_that_changes_evenly_is_integrated_exactly(times: list[float], start: float, slope: float) -> None:
    first, last = times[0], times[-1]
    exact = start * (last - first) + slope * (last**2 - first**2) / 2
    samples = [(time, start + slope * time) for time in times]
    assert integral(samples) == pytest.approx(exact, rel=1e-9, abs=1e-6)


@given(samples=st.lists(st.tuples(st.floats(0, 100), st.floats(0, 500)), min_size=3), cut=st.data())
def test_parts_add_up_to_the_whole(samples: list[tuple[float, float]], cut: st.DataObject) -> None:
    samples = sorted(samples)
    at = cut.draw(st.integers(1, len(samples) - 2))
    assert integral(samples[: at + 1]) + integral(samples[at:]) == pytest.approx(integral(samples), abs=1e-9)


def test_a_sensor_is_read_again_and_again_until_it_stops() -> None:
    reads = 0
    enough = threading.Event()

    def watts() -> float:
        nonlocal reads
        reads += 1
        if reads == 5:
            enough.set()
        return 12.5

    meter = SampledMeter("module", "all of it", watts)
    for _ in range(2):
        reads = 0
        enough.clear()
        before = time.perf_counter()
        meter.start()
        assert enough.wait(30)
        joules = meter.stop()
        assert 0 < joules <= 12.5 * (time.perf_counter() - before)
        assert reads >= 6  # the last when it stops
    seen = reads
    time.sleep(0.1)
    assert reads == seen


def test_a_sensor_that_fails_while_measuring_is_unmeasurable() -> None:
    answers = iter(["5", "6", "none"])
    failed = threading.Event()

    def watts() -> float:
        answer = next(answers)
        if answer == "none":
            failed.set()
        return float(int(answer))

    meter = SampledMeter("module", "all of it", watts)
    meter.start()
    assert failed.wait(30)
    with pytest.raises(Unmeasurable, match=r"module.*invalid literal"):
        meter.stop()
