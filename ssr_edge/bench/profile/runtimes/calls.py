"""Calls a profiled engine, one image at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ssr_edge.images.preprocess import Image

# The first calls allocate buffers.
WARM_UP_CALLS = 5
T = TypeVar("T")


def one_at_a_time(call: Callable[[Image], T], images: Image, calls: int) -> list[T]:
    """Results of `calls` calls, after additional warm-up calls.

    images: uint8 BGR [n, 224, 224, 3], used in turn as [1, 224, 224, 3].
    """
    found = []
    for number in range(WARM_UP_CALLS + calls):
        start = number % len(images)
        found.append(call(images[start : start + 1]))
    return found[WARM_UP_CALLS:]
