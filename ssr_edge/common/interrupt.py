"""Ctrl-C and SIGTERM let a run finish what it has begun; a second one ends it at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread, Timer
from types import FrameType


@contextmanager
def interruptible(stop: Event, seconds: float | None = None) -> Iterator[None]:
    """Sets `stop` on the first signal, or after `seconds`; then, after a signal, leaves the block as it would have.

    Raises:
        KeyboardInterrupt: at the end of the block after SIGINT, or at once after the second. SystemExit: 143, as a
            shell has it, at the end of the block after SIGTERM.
    """
    received: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        # In a thread: what this interrupts may hold the event's lock.
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
