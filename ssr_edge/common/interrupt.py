"""Graceful shutdown: the first Ctrl-C or SIGTERM lets a run finish its current work, the second ends it immediately."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread, Timer
from types import FrameType


@contextmanager
def interruptible(stop: Event, seconds: float | None = None) -> Iterator[None]:
    """Sets `stop` on the first SIGINT or SIGTERM, or after `seconds`; the block is expected to end soon after.

    Raises:
        KeyboardInterrupt: at the end of the block after SIGINT; immediately on a second signal.
        SystemExit: at the end of the block after SIGTERM, with code 143 (128 + SIGTERM), as shells report it.
    """
    received: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        # In a thread, because the interrupted code may hold the event's lock.
        Thread(target=stop.set).start()

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    timer = None if seconds is None else Timer(seconds, stop.set)
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
    if signal.SIGTERM in received:
        raise SystemExit(128 + signal.SIGTERM)
    if received:
        raise KeyboardInterrupt
