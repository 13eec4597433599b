"""Paths read from standard input, one per line, as soon as each line arrives."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

_LOOK_UP_EVERY_S = 0.2


def paths_on_stdin(stop: Event) -> Iterator[Path]:
    """Yields each line's path immediately, until the input ends or `stop` is set; empty lines are skipped."""
    # Not through sys.stdin.buffer: a thread blocked in its lock makes the interpreter's shutdown fail.
    descriptor, rest = sys.stdin.fileno(), b""
    while not stop.is_set():
        # Only POSIX can wait for a pipe with a timeout; elsewhere the read below blocks.
        if os.name == "posix" and not select.select([descriptor], [], [], _LOOK_UP_EVERY_S)[0]:
            continue
        block = os.read(descriptor, 1 << 16)
        *lines, rest = (rest + block).split(b"\n") if block else (rest, b"")
        yield from (Path(os.fsdecode(line.rstrip(b"\r"))) for line in lines if line.strip())
        if not block:
            return
