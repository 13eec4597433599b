"""The frames of a camera or stream, which may go away and come back."""

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

    A lost connection is opened again, after pauses that double from a quarter of a second to two; each is said on
    stderr. Numbers go on across connections, and times never go back, whatever is done to the machine's clock.
    shown: the source without a password.

    Raises:
        RuntimeUnavailable: it can't be opened at first, or gave no frame for `give_up_after` seconds.
    """
    capture: Capture | None = open_stream(source, shown)
    epoch = time.time() - time.perf_counter()
    number, latest, pause = 0, time.perf_counter(), _FIRST_PAUSE_S
    try:
        while not stop.is_set():
            if capture is not None and capture.grab():
                now = time.perf_counter()
                if pause > _FIRST_PAUSE_S:
                    print(f"{shown}: frames again, after {now - latest:.1f} s without", file=sys.stderr, flush=True)
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
            f"{shown} gave no frame for {without:.0f} s",
            expected=f"a frame, or a connection that comes back, within {give_up_after:.0f} s",
            next_step=f"ssr-edge infer {shown}  (once it is there again)",
        )
    if not stop.is_set():
        print(f"{shown}: no frame for {without:.1f} s, connecting again in {pause:.2g} s", file=sys.stderr, flush=True)
        stop.wait(pause)


def _try(source: str, shown: str) -> Capture | None:
    try:
        return open_stream(source, shown)
    except RuntimeUnavailable:
        return None
