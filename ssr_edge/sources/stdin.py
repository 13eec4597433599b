"""Paths on standard input, one a line, as they come: whoever writes them may be slow."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

_LOOK_UP_EVERY_S = 0.2


def paths_on_stdin(stop: Event) -> Iterator[Path]:
    """Yields each line's path at once, until the input ends or `stop` is set; empty lines are passed over."""
    # Not through sys.stdin.buffer: a thread that sits in its lock would break the interpreter's end.
    descriptor, rest = sys.stdin.fileno(), b""
    while not stop.is_set():
        # Only POSIX can wait for a pipe for a while; elsewhere the read below waits.
        if os.name == "posix" and not select.select([descriptor], [], [], _LOOK_UP_EVERY_S)[0]:
            continue
        block = os.read(descriptor, 1 << 16)
        *lines, rest = (rest + block).split(b"\n") if block else (rest, b"")
        yield from (Path(os.fsdecode(line.rstrip(b"\r"))) for line in lines if line.strip())
        if not block:
            return
