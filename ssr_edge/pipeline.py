"""Joins decoding and inference so that they overlap: threads decode while the engine works on earlier batches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ssr_edge.decide import Prediction, decide
from ssr_edge.errors import InputError
from ssr_edge.preprocess import Image, decode, resize
from ssr_edge.runners import Runner, TakesOriginals

# A larger image is resized before it goes to a runner that takes originals: a few of them would fill a small GPU.
LARGEST_ORIGINAL = 1 << 24


@dataclass(frozen=True)
class Failure:
    """An input that could not be classified, and why."""

    source: str
    reason: str


@dataclass(frozen=True)
class _Decoded:
    path: Path
    started: float
    shape: tuple[int, ...]
    image: Image | None
    reason: str


def classify(
    paths: Iterable[Path], runner: Runner, batch_size: int, threads: int, magnification: int | None = None
) -> Iterator[Prediction | Failure]:
    """Yields one result for each path, in order; an input that fails costs itself only.

    batch_size: images in one engine call. threads: decoders. magnification: the bundle's, for the flag. Memory does
    not grow with the number of paths: only so many images are decoded ahead as keep the engine fed. A runner that
    TakesOriginals is given images as decoded, up to LARGEST_ORIGINAL pixels.
    """
    originals = isinstance(runner, TakesOriginals)
    batch_size = min(batch_size, runner.max_batch)
    ahead = threads + batch_size * (runner.slots + 1)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    under_way: deque[tuple[int | None, list[_Decoded]]] = deque()
    try:
        for group in _groups(_decode_ahead(pool, iter(paths), ahead, originals), batch_size):
            if len(under_way) == runner.slots:
                yield from _finish(runner, *under_way.popleft(), magnification)
            images = [item.image for item in group if item.image is not None]
            under_way.append((_submit(runner, images) if images else None, group))
        while under_way:
            yield from _finish(runner, *under_way.popleft(), magnification)
    finally:
        pool.shutdown(cancel_futures=True)
        # A consumer that stops early leaves tickets open; the runner must be free for the next call.
        for ticket, _ in under_way:
            if ticket is not None:
                runner.collect(ticket)


def _submit(runner: Runner, images: Sequence[Image]) -> int:
    return runner.submit_originals(images) if isinstance(runner, TakesOriginals) else runner.submit(np.stack(images))


def _decode_ahead(pool: ThreadPoolExecutor, paths: Iterator[Path], ahead: int, originals: bool) -> Iterator[_Decoded]:
    waiting: deque[Future[_Decoded]] = deque(pool.submit(_decode, path, originals) for path in islice(paths, ahead))
    while waiting:
        item = waiting.popleft().result()
        waiting.extend(pool.submit(_decode, path, originals) for path in islice(paths, 1))
        yield item


def _decode(path: Path, originals: bool) -> _Decoded:
    started = time.perf_counter()
    try:
        image = decode(path)
        keep = originals and image.shape[0] * image.shape[1] <= LARGEST_ORIGINAL
        return _Decoded(path, started, image.shape, image if keep else resize(image), "")
    except InputError as error:
        return _Decoded(path, started, (), None, error.found.removeprefix(f"{path}: "))
    except MemoryError:
        return _Decoded(path, started, (), None, "not enough memory to decode it")


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
    for item in group:
        if item.image is None:
            yield Failure(str(item.path), item.reason)
        else:
            yield decide(item.path, item.shape, next(rows), magnification, (now - item.started) * 1000)
