"""Joins decoding and inference so that they overlap: threads decode while the engine works on earlier batches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ssr_edge.decide import Prediction, decide
from ssr_edge.errors import InputError
from ssr_edge.preprocess import Image, decode, resize
from ssr_edge.runners import Runner
from ssr_edge.slides.tiles import Tile


@dataclass(frozen=True)
class Failure:
    """An input that could not be classified, and why."""

    source: str
    reason: str


@dataclass(frozen=True)
class _Decoded:
    item: Path | Tile
    started: float
    shape: tuple[int, ...]
    image: Image | None
    reason: str


def classify(
    inputs: Iterable[Path | Tile], runner: Runner, batch_size: int, threads: int, magnification: int | None = None
) -> Iterator[Prediction | Failure]:
    """Yields one result for each image file or tile, in order; an input that fails costs itself only.

    batch_size: images in one engine call. threads: decoders. magnification: the bundle's, for the flag. Memory does
    not grow with the number of inputs: only so many images are decoded ahead as keep the engine fed.
    """
    batch_size = min(batch_size, runner.max_batch)
    ahead = threads + batch_size * (runner.slots + 1)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    under_way: deque[tuple[int | None, list[_Decoded]]] = deque()
    try:
        for group in _groups(_decode_ahead(pool, iter(inputs), ahead), batch_size):
            if len(under_way) == runner.slots:
                yield from _finish(runner, *under_way.popleft(), magnification)
            images = [item.image for item in group if item.image is not None]
            under_way.append((runner.submit(np.stack(images)) if images else None, group))
        while under_way:
            yield from _finish(runner, *under_way.popleft(), magnification)
    finally:
        pool.shutdown(cancel_futures=True)
        # A consumer that stops early leaves tickets open; the runner must be free for the next call.
        for ticket, _ in under_way:
            if ticket is not None:
                runner.collect(ticket)


def _decode_ahead(pool: ThreadPoolExecutor, inputs: Iterator[Path | Tile], ahead: int) -> Iterator[_Decoded]:
    waiting: deque[Future[_Decoded]] = deque(pool.submit(_decode, item) for item in islice(inputs, ahead))
    while waiting:
        decoded = waiting.popleft().result()
        waiting.extend(pool.submit(_decode, item) for item in islice(inputs, 1))
        yield decoded


def _decode(item: Path | Tile) -> _Decoded:
    started = time.perf_counter()
    try:
        image = item.read() if isinstance(item, Tile) else decode(item)
        return _Decoded(item, started, image.shape, resize(image), "")
    except InputError as error:
        return _Decoded(item, started, (), None, error.found.removeprefix(f"{_source(item)}: "))
    except MemoryError:
        return _Decoded(item, started, (), None, "not enough memory to decode it")


def _groups(items: Iterator[_Decoded], batch_size: int) -> Iterator[list[_Decoded]]:
    """Cuts a stream into groups with at most `batch_size` images each; failed inputs ride along in their place."""
    group: list[_Decoded] = []
    images = 0
    for item in items:
        group.append(item)
        images += item.image is not None
        # A run of broken files is handed on too, not held until the next good one.
        if images == batch_size or len(group) == 4 * batch_size:
            yield group
            group, images = [], 0
    if group:
        yield group


def _finish(
    runner: Runner, ticket: int | None, group: list[_Decoded], magnification: int | None
) -> Iterator[Prediction | Failure]:
    rows = iter(runner.collect(ticket).probabilities if ticket is not None else ())
    now = time.perf_counter()
    for decoded in group:
        item, source = decoded.item, _source(decoded.item)
        if decoded.image is None:
            yield Failure(str(source), decoded.reason)
            continue
        number, region = (item.number, item.region) if isinstance(item, Tile) else (0, None)
        latency_ms = (now - decoded.started) * 1000
        yield decide(source, decoded.shape, next(rows), magnification, latency_ms, number, region)


def _source(item: Path | Tile) -> Path:
    return item.source if isinstance(item, Tile) else item
