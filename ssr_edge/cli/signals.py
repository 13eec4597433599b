"""Ends long work cleanly on Ctrl-C and on SIGTERM: open files are completed, and the user reads how to go on."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ending_cleanly(message: Callable[[], str]) -> Iterator[None]:
    """Turns SIGTERM into an exception, as Ctrl-C is one, and prints `message()` after either.

    The command then exits with 128 + the signal's number, as shells do: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        print(message(), file=sys.stderr)
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
