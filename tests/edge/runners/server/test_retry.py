"""Retries of a request, on a simulated clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException

from ssr_edge.common.errors import ServerError
from ssr_edge.runners.server import retry as server_retry
from ssr_edge.runners.server.address import RetryPolicy, ServerAddress
from ssr_edge.runners.server.retry import LONGEST_PAUSE_S, Retries, describe

ADDRESS = ServerAddress("host:8001", "breast")


class Clock:
    """Replaces the module `time` and the event that pauses wait for."""

    def __init__(self) -> None:
        self.now, self.pauses = 1000.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.now += seconds
        return False

    def set(self) -> None:
        pass


def failing(clock: Clock, try_s: float) -> tuple[ServerError, int]:
    tries = 0

    def send(deadline_s: float) -> None:
        nonlocal tries
        tries += 1
        clock.now += min(try_s, deadline_s)
        raise InferenceServerException("busy", "StatusCode.UNAVAILABLE")

    retries = Retries(ADDRESS, RetryPolicy(deadline_s=10, retry_s=30))
    retries._given_up = clock  # type: ignore[assignment]
    with pytest.raises(ServerError) as error:
        retries.call(send)
    return error.value, tries


@given(st.floats(0, 20))
def test_tries_go_on_for_as_long_as_was_asked_and_pauses_grow(try_s: float) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_retry, "time", clock)
        error, tries = failing(clock, try_s)
    limits = [min(LONGEST_PAUSE_S, 0.1 * 2**number) for number in range(len(clock.pauses))]
    assert all(0 <= pause <= limit for pause, limit in zip(clock.pauses, limits, strict=True))
    assert tries == len(clock.pauses) + 1
    took, a_try = clock.now - 1000, min(try_s, 10)
    # The first failure comes after one try; the last try starts at most retry_s later.
    assert 30 + a_try - 1e-6 <= took <= 30 + 2 * a_try + 1e-6
    for part in ("grpc://host:8001", f"after {tries} tries", "unavailable: busy"):
        assert part in error.found


def test_pauses_are_drawn_anew_for_each_client(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for _ in range(2):
        clock = Clock()
        monkeypatch.setattr(server_retry, "time", clock)
        failing(clock, 0.0)
        drawn.append(clock.pauses)
    assert drawn[0][:5] != drawn[1][:5]


@pytest.mark.parametrize(
    ("message", "status", "words"),
    [
        (
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Connection refused",
            "StatusCode.UNAVAILABLE",
            "unavailable: ipv4:127.0.0.1:1: Connection refused",
        ),
        ("Deadline Exceeded", "StatusCode.DEADLINE_EXCEEDED", "deadline exceeded: Deadline Exceeded"),
        ("first\nsecond", "StatusCode.INTERNAL", "internal: first"),
        ("", "StatusCode.INTERNAL", "internal"),
        ("closed", None, "closed"),
        (None, None, ""),
    ],
)
def test_the_description_of_an_error(message: str, status: str, words: str) -> None:
    assert describe(InferenceServerException(message, status)) == words
