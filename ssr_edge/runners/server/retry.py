"""Sends a request again while its failure may pass, and says in words when it does not."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import count
from threading import Event
from typing import TypeVar

from tritonclient.utils import InferenceServerException

from ssr_edge.common.errors import ServerError
from ssr_edge.runners.server.address import RetryPolicy, ServerAddress

Answer = TypeVar("Answer")
# Of a server that is busy, gone or starting again. A model that was there is not found while its server loads it, and
# calls that were under way are cancelled when it is asked to end. A request may be sent twice: it changes nothing.
_PASSING = {f"StatusCode.{name}" for name in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "NOT_FOUND", "CANCELLED")}
_FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0


class Retries:
    """Makes the calls of one runner, from any thread: what one of them gave up, the others do not go on trying.

    A pause is drawn from 0 to a limit that doubles with each failure ("full jitter", M. Brooker, Exponential Backoff
    And Jitter, AWS Architecture Blog 2015), so that clients that lost a server together do not come back together.
    """

    def __init__(self, address: ServerAddress, retry_policy: RetryPolicy) -> None:
        self._address, self._retry_policy = address, retry_policy
        self._given_up = Event()
        # Not the seeded generator that a program may share.
        self._random = random.Random()

    def call(self, send: Callable[[float], Answer]) -> Answer:
        """The answer to a request. send: sends it, given its deadline in seconds.

        Raises:
            ServerError: the server refused it, or did not answer for as long as it is waited for.
        """
        deadline_s, retry_s = self._retry_policy.deadline_s, self._retry_policy.retry_s
        ends: float | None = None
        for tries in count(1):
            try:
                return send(deadline_s)
            except InferenceServerException as error:
                if error.status() not in _PASSING:
                    raise refused(self._address, error) from error
                now = time.monotonic()
                ends = now + retry_s if ends is None else ends
                if now >= ends or self._given_up.wait(min(self._pause(tries), ends - now)):
                    self._given_up.set()
                    raise _gone(self._address, error, tries, self._retry_policy) from error
            except ValueError as error:  # gRPC's, of a connection that `close` has closed
                raise no_answer(self._address, InferenceServerException(str(error)), deadline_s) from error
        raise AssertionError("unreachable")

    def _pause(self, failures: int) -> float:
        return self._random.uniform(0, min(LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16)))

    def give_up(self) -> None:
        """Ends every pause: from now on the next failure is the last."""
        self._given_up.set()


def refused(address: ServerAddress, error: InferenceServerException) -> ServerError:
    """What to say of a request that the server answered with an error."""
    return ServerError(
        f"{address.server} does not run {address.model}: {in_words(error)}",
        expected="a model that takes and gives what a bundle's does",
        next_step="the server's log; docs/server.md says what it must serve",
    )


def no_answer(address: ServerAddress, error: InferenceServerException, deadline_s: float) -> ServerError:
    """What to say of a server that was never reached."""
    return ServerError(
        f"no answer from {address.server}: {in_words(error)}",
        expected=f"a KServe v2 server's gRPC port that answers within {deadline_s:g} s",
        next_step="see that it runs (Triton's gRPC port is 8001, MLServer's 8081), then the same command again",
    )


def in_words(error: InferenceServerException) -> str:
    """gRPC's code and the first line of what was said, without gRPC's list of addresses."""
    said = str(error.message() or "").strip().splitlines() or [""]
    code = str(error.status() or "").removeprefix("StatusCode.").replace("_", " ").lower()
    reason = said[0].rpartition("last error: ")[2].removeprefix("UNKNOWN: ")
    return ": ".join(part for part in (code, reason) if part)


def _gone(
    address: ServerAddress, error: InferenceServerException, tries: int, retry_policy: RetryPolicy
) -> ServerError:
    return ServerError(
        f"{address.server} answers no more, after {tries} {'try' if tries == 1 else 'tries'}: {in_words(error)}",
        expected=(
            f"an answer within {retry_policy.deadline_s:g} s, or within {retry_policy.retry_s:g} s after a failure"
        ),
        next_step="see to the server, then the same command with --resume (of infer)",
    )
