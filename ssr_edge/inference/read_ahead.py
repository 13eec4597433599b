"""Reads and decodes in threads, only far enough ahead to keep the engine busy, and returns images in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition, Event, Semaphore, Thread
from types import TracebackType
from typing import Final

from typing_extensions import Self

from ssr_edge.common.errors import InputError
from ssr_edge.images.preprocess import Image, resize
from ssr_edge.sources.inputs import Input, Region

# Longer than a source's longest wait: a thread that is still inside OpenCV when Python exits crashes the process.
JOIN_S = 15.0
# Larger images are resized even for a runner that takes originals: a few of them would fill a small GPU's memory.
LARGEST_ORIGINAL = 1 << 24


@dataclass(frozen=True)
class Decoded:
    """A decoded input: the image for the runner and, if kept, the whole image; or the reason for the failure.

    image: uint8 BGR, [224, 224, 3] or, for a runner that takes originals, as decoded. shape: the whole image's.
    started: `time.perf_counter()` when the input's latency began.
    """

    source: str
    frame: int
    seconds: float | None
    started: float
    region: Region | None = None
    shape: tuple[int, ...] = ()
    image: Image | None = None
    whole: Image | None = None
    reason: str = ""


class NotYet:
    """The next input is still being read."""


NOT_YET: Final = NotYet()


class ReadAhead:
    """Reads at most `ahead` inputs in advance; `take` returns them in order, and raises any exception of the source.

    stop: set on exit, so that a waiting source can end.
    """

    def __init__(
        self,
        inputs: Iterable[Input],
        threads: int,
        ahead: int,
        stop: Event,
        keep_images: bool = False,
        originals: bool = False,
    ) -> None:
        self._inputs, self._stop, self._keep_images, self._originals = inputs, stop, keep_images, originals
        self._room = Semaphore(ahead)
        # A frame is a whole image until it is resized, so only a few may wait for that.
        self._undecoded = Semaphore(2 * threads)
        self._changed = Condition()
        self._futures: deque[Future[Decoded | None]] = deque()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._feeder = Thread(target=self._feed, name="source", daemon=True)

    def take(self, wait: float | None) -> Decoded | NotYet | None:
        """The next input; None after the last; NOT_YET if it is not ready within `wait` seconds (None: no limit)."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._futures and self._futures[0].done(), wait):
                return NOT_YET
            item = self._futures[0].result()
            if item is not None:  # the end marker stays
                self._futures.popleft()
                self._room.release()
            return item

    def _feed(self) -> None:
        end: Future[Decoded | None] = Future()
        try:
            for item in self._inputs:
                self._room.acquire()
                self._undecoded.acquire()
                if self._stop.is_set():
                    break
                decoding: Future[Decoded | None] = self._pool.submit(
                    decode_input, item, self._keep_images, self._originals
                )
                decoding.add_done_callback(lambda _: self._undecoded.release())
                self._append(decoding)
                # The pool holds it now; a reference here would keep it in memory while the source waits.
                del item
        except BaseException as error:  # raised again in the main thread
            end.set_exception(error)
        else:
            end.set_result(None)
        finally:
            if isinstance(self._inputs, Generator):
                self._inputs.close()
            self._append(end)

    def _append(self, future: Future[Decoded | None]) -> None:
        with self._changed:
            self._futures.append(future)
            self._changed.notify_all()
        future.add_done_callback(self._notify)

    def _notify(self, _: Future[Decoded | None]) -> None:
        with self._changed:
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._feeder.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._room.release()
        self._undecoded.release()
        self._feeder.join(JOIN_S)
        self._pool.shutdown(cancel_futures=True)


def decode_input(item: Input, keep_images: bool, originals: bool = False) -> Decoded:
    """Reads and resizes an input; a failure becomes its `reason`.

    originals: images of up to LARGEST_ORIGINAL pixels are not resized, for a runner that resizes them itself.
    """
    started = time.perf_counter() if item.captured is None else item.captured
    try:
        whole = item.read()
        shape = whole.shape
        image = whole if originals and shape[0] * shape[1] <= LARGEST_ORIGINAL else resize(whole)
    except InputError as error:
        reason = error.found.removeprefix(f"{item.source}: ")
    except MemoryError:
        reason = "not enough memory to decode it"
    else:
        kept = whole if keep_images else None
        return Decoded(item.source, item.frame, item.seconds, started, item.region, shape, image, kept)
    return Decoded(item.source, item.frame, item.seconds, started, reason=reason)
