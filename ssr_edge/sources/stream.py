"""The frames of a camera or stream, with reconnection."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from threading import Event

from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.sources.capture import Capture, open_stream
from ssr_edge.sources.inputs import Input
from ssr_edge.sources.video import frame_of

GIVE_UP_AFTER_S = 60.0
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 2.0


def frames_of_stream(
    source: str, shown: str, stop: Event, every: int = 1, give_up_after: float = GIVE_UP_AFTER_S
) -> Iterator[Input]:
    """Yields the frames whose number is a multiple of `every`, until `stop` is set or a stream of known length ends.

    A lost connection is reopened after pauses that double from 0.25 to 2 seconds; each attempt is reported on stderr.
    Frame numbers continue across connections, and times are monotonic even if the system clock is changed. shown: the
    source without a password.

    Raises:
        RuntimeUnavailable: it can't be opened initially, or no frame arrived for `give_up_after` seconds.
    """
    capture: Capture | None = open_stream(source, shown)
    epoch = time.time() - time.perf_counter()
    number, latest, pause = 0, time.perf_counter(), _FIRST_PAUSE_S
    try:
        while not stop.is_set():
            if capture is not None and capture.grab():
                now = time.perf_counter()
                if pause > _FIRST_PAUSE_S:
                    print(f"{shown}: reconnected after {now - latest:.1f} s", file=sys.stderr, flush=True)
                latest, pause = now, _FIRST_PAUSE_S
                if number % every == 0:
                    yield frame_of(shown, capture.retrieve(), number, epoch + now, now)
                number += 1
                continue
            if capture is not None:
                capture.close()
                if capture.frames is not None:
                    return
            _pause(shown, stop, pause, time.perf_counter() - latest, give_up_after)
            capture, pause = _try(source, shown), min(2 * pause, _LONGEST_PAUSE_S)
    finally:
        if capture is not None:
            capture.close()


def _pause(shown: str, stop: Event, pause: float, without: float, give_up_after: float) -> None:
    if without > give_up_after:
        raise RuntimeUnavailable(
            f"{shown}: no frame for {without:.0f} s",
            expected=f"a frame, or a successful reconnection, within {give_up_after:.0f} s",
            next_step=f"ssr-edge infer {shown}  (when it is available again)",
        )
    if not stop.is_set():
        print(f"{shown}: no frame for {without:.1f} s, reconnecting in {pause:.2g} s", file=sys.stderr, flush=True)
        stop.wait(pause)


def _try(source: str, shown: str) -> Capture | None:
    try:
        return open_stream(source, shown)
    except RuntimeUnavailable:
        return None
