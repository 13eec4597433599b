from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.bench.report.gpu_messages import describe_gpu, gpu_warnings
from ssr_edge.machine.energy import nvml
from ssr_edge.machine.energy.nvml import GpuState

STEADY = GpuState(1980, 64, 71.25)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (STEADY, "1980 MHz (free to change, as far as NVML tells), 64 °C, 71.2 W"),
        (GpuState(1410, 50, 70.0, ["clocks set by the user"]), "1410 MHz (set by the user), 50 °C, 70.0 W"),
        (GpuState(None, 64, None, ["power limit"]), "64 °C, power limit"),
        (GpuState(), "not known: the driver tells nothing"),
        (GpuState(reason="no NVIDIA GPU"), "not known: no NVIDIA GPU"),
    ],
)
def test_words(state: GpuState, words: str) -> None:
    assert describe_gpu(state) == words


def test_a_clock_that_fell_is_said_with_the_way_out() -> None:
    (warning,) = gpu_warnings(STEADY, GpuState(1600, 80, 70.0))
    assert warning.startswith("the GPU's clock fell from 1980 to 1600 MHz") and "nvidia-smi -lgc" in warning


@pytest.mark.parametrize("clock", [1980, 1965, 1890, 2100, None])
def test_a_clock_that_moves_a_little_rises_or_is_not_known_is_not(clock: int | None) -> None:
    assert gpu_warnings(STEADY, GpuState(clock, 64, 71.0)) == []


@pytest.mark.parametrize(
    "idle", [(STEADY, GpuState(210, 40, 9.0, ["idle"])), (GpuState(2100, 40, 9.0, ["idle"]), STEADY)]
)
def test_an_idle_gpu_says_nothing_of_its_clock(idle: tuple[GpuState, GpuState]) -> None:
    assert gpu_warnings(*idle) == []


def test_a_gpu_that_was_slowed_down_is_said_with_its_reasons() -> None:
    hot = GpuState(1975, 90, 70.0, ["clocks set by the user", "power limit", "too hot (hardware)"])
    assert gpu_warnings(STEADY, hot) == ["the GPU was slowed down after the rounds: power limit, too hot (hardware)"]
    assert [warning.split(":")[0] for warning in gpu_warnings(hot, hot)] == [
        "the GPU was slowed down before the rounds",
        "the GPU was slowed down after the rounds",
    ]


def test_every_word_of_nvml_is_harmless_or_a_warning() -> None:
    warned = {word for word in nvml._THROTTLED.values() if gpu_warnings(STEADY, GpuState(throttled=[word]))}
    assert warned == {
        *("power limit", "slowed down by the hardware", "too hot (software)", "too hot (hardware)", "power brake")
    }


_CLOCKS = st.none() | st.integers(0, 4000)


@given(_CLOCKS, _CLOCKS)
def test_only_a_fall_is_a_warning(before: int | None, after: int | None) -> None:
    fell = before is not None and after is not None and after < 0.95 * before
    assert bool(gpu_warnings(GpuState(before), GpuState(after))) == fell
