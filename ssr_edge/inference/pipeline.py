"""Overlaps decoding and inference: threads decode while the engine works on earlier batches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event

import numpy as np

from ssr_edge.common.errors import InputError, SsrEdgeError
from ssr_edge.images.preprocess import Image
from ssr_edge.inference.prediction import Prediction, decide
from ssr_edge.inference.read_ahead import Decoded, NotYet, ReadAhead
from ssr_edge.runners.base import Runner, TakesOriginals
from ssr_edge.sources.inputs import Input

# How long the first image of a batch waits for the others when the source is slow and the engine is idle.
_LONGEST_WAIT_S = 0.05


@dataclass(frozen=True)
class Failure:
    """An input that could not be classified. reason: the cause, as a phrase."""

    source: str
    reason: str


def classify(
    inputs: Iterable[Input],
    runner: Runner,
    batch_size: int,
    threads: int,
    magnification: int | None = None,
    *,
    keep_images: bool = False,
    stop: Event | None = None,
) -> Iterator[Prediction | Failure]:
    """Yields one result per input, in order. An input that can't be read yields a Failure, and the run continues.

    batch_size: most images in one engine call; calls are smaller if the source is slower than the engine.
    threads: number of decoder threads. magnification: the bundle's, for the `other-magnification` flag.
    keep_images: store the whole image in each prediction. stop: when set, the run ends after the inputs already read;
    it is also set when the run ends, so that the source ends.
    Memory does not grow with the number of inputs: only enough inputs are read ahead to keep the engine busy. A runner
    that implements TakesOriginals gets images as decoded.

    Exceptions raised by the source, a decoder or the engine end the run.
    """
    batch_size = min(batch_size, runner.max_batch)
    ahead = threads + batch_size * (runner.slots + 1)
    under_way: deque[tuple[int | None, list[Decoded]]] = deque()
    originals = isinstance(runner, TakesOriginals)
    with ReadAhead(inputs, threads, ahead, stop or Event(), keep_images, originals) as reader:
        try:
            for group in _groups(reader, batch_size, lambda: bool(under_way)):
                if under_way and (not group or len(under_way) == runner.slots):
                    yield from _finish(runner, *under_way.popleft(), magnification)
                if group:
                    images = [item.image for item in group if item.image is not None]
                    under_way.append((submit(runner, images) if images else None, group))
            while under_way:
                yield from _finish(runner, *under_way.popleft(), magnification)
        finally:
            # A consumer that stops early leaves calls in flight; they are collected to free the runner's slots.
            for ticket, _ in under_way:
                # Errors of these calls must not replace the exception that ended the run.
                with suppress(SsrEdgeError):
                    if ticket is not None:
                        runner.collect(ticket)


def submit(runner: Runner, images: Sequence[Image]) -> int:
    """Starts a call on images as `decode_input` returns them for this runner; returns its ticket."""
    return runner.submit_originals(images) if isinstance(runner, TakesOriginals) else runner.submit(np.stack(images))


def _groups(reader: ReadAhead, batch_size: int, is_busy: Callable[[], bool]) -> Iterator[list[Decoded]]:
    """Groups the inputs, at most `batch_size` images each; failed inputs keep their position.

    An empty group means that no input is ready, so the engine's results can be collected.
    """
    group: list[Decoded] = []
    images, due = 0, 0.0
    while True:
        wait = 0.0 if is_busy() else max(due - time.perf_counter(), 0.0) if group else None
        item = reader.take(wait)
        if item is None:
            break
        if isinstance(item, NotYet):
            if is_busy():
                yield []
                continue
        else:
            if not group:
                due = time.perf_counter() + _LONGEST_WAIT_S
            group.append(item)
            images += item.image is not None
            # A long series of damaged files is also passed on, without waiting for a readable one.
            if images < batch_size and len(group) < 4 * batch_size:
                continue
        yield group
        group, images = [], 0
    if group:
        yield group


def _finish(
    runner: Runner, ticket: int | None, group: list[Decoded], magnification: int | None
) -> Iterator[Prediction | Failure]:
    rows = iter(runner.collect(ticket).probabilities if ticket is not None else ())
    now = time.perf_counter()
    for item in group:
        yield to_result(item, None if item.image is None else next(rows), magnification, now)


def to_result(
    item: Decoded, probabilities: np.typing.NDArray[np.float32] | None, magnification: int | None, now: float
) -> Prediction | Failure:
    """The result of an input. probabilities: float32 [8], None if it failed. now: when its label was known."""
    if probabilities is None:
        return Failure(item.source, item.reason)
    try:
        return decide(
            item.source,
            item.shape,
            probabilities,
            magnification,
            (now - item.started) * 1000,
            frame=item.frame,
            seconds=item.seconds,
            region=item.region,
            image=item.whole,
        )
    except InputError as error:
        return Failure(item.source, error.found.removeprefix(f"{item.source}: "))
