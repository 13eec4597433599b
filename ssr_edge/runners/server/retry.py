"""Retries requests after transient failures, and turns permanent ones into errors."""

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
# Statuses of a server that is busy, gone or restarting: NOT_FOUND while it loads the model, CANCELLED for calls in
# flight when it shuts down. Requests are idempotent, so sending one twice is safe.
_TRANSIENT = {f"StatusCode.{name}" for name in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "NOT_FOUND", "CANCELLED")}
_FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0


class Retries:
    """Calls of one runner, from any thread. When one call gives up, the others stop retrying too.

    A pause is random between 0 and a limit that doubles with each failure ("full jitter", M. Brooker, Exponential
    Backoff And Jitter, AWS Architecture Blog 2015), so that clients that lost a server at the same time reconnect at
    different times.
    """

    def __init__(self, address: ServerAddress, retry_policy: RetryPolicy) -> None:
        self._address, self._retry_policy = address, retry_policy
        self._given_up = Event()
        # Not the global generator, which a program may have seeded.
        self._random = random.Random()

    def call(self, send: Callable[[float], Answer]) -> Answer:
        """Sends a request and returns the answer. send: sends it once, with the given deadline in seconds.

        Raises:
            ServerError: the server rejected it, or did not answer before the retry time ran out.
        """
        deadline_s, retry_s = self._retry_policy.deadline_s, self._retry_policy.retry_s
        ends: float | None = None
        for tries in count(1):
            try:
                return send(deadline_s)
            except InferenceServerException as error:
                if error.status() not in _TRANSIENT:
                    raise refused(self._address, error) from error
                now = time.monotonic()
                ends = now + retry_s if ends is None else ends
                if now >= ends or self._given_up.wait(min(self._pause(tries), ends - now)):
                    self._given_up.set()
                    raise _gone(self._address, error, tries, self._retry_policy) from error
            except ValueError as error:  # raised by gRPC after `close`
                raise no_answer(self._address, InferenceServerException(str(error)), deadline_s) from error
        raise AssertionError("unreachable")

    def _pause(self, failures: int) -> float:
        return self._random.uniform(0, min(LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16)))

    def give_up(self) -> None:
        """Ends every pause; later failures are not retried."""
        self._given_up.set()


def refused(address: ServerAddress, error: InferenceServerException) -> ServerError:
    """Error for a request that the server rejected."""
    return ServerError(
        f"{address.server} does not run {address.model}: {describe(error)}",
        expected="a model with a bundle's inputs and outputs",
        next_step="check the server's log; see docs/server.md for the model that it must serve",
    )


def no_answer(address: ServerAddress, error: InferenceServerException, deadline_s: float) -> ServerError:
    """Error for a server that was never reached."""
    return ServerError(
        f"no answer from {address.server}: {describe(error)}",
        expected=f"the gRPC port of a KServe v2 server that answers within {deadline_s:g} s",
        next_step="check that it runs (gRPC port of Triton: 8001, MLServer: 8081), then run the same command again",
    )


def describe(error: InferenceServerException) -> str:
    """gRPC's status and the first line of the message, without gRPC's list of addresses."""
    lines = str(error.message() or "").strip().splitlines() or [""]
    code = str(error.status() or "").removeprefix("StatusCode.").replace("_", " ").lower()
    reason = lines[0].rpartition("last error: ")[2].removeprefix("UNKNOWN: ")
    return ": ".join(part for part in (code, reason) if part)


def _gone(
    address: ServerAddress, error: InferenceServerException, tries: int, retry_policy: RetryPolicy
) -> ServerError:
    return ServerError(
        f"{address.server} did not respond after {tries} {'try' if tries == 1 else 'tries'}: {describe(error)}",
        expected=f"an answer within {retry_policy.deadline_s:g} s, or within {retry_policy.retry_s:g} s of a failure",
        next_step="fix or restart the server, then run the same command (infer: with --resume)",
    )
