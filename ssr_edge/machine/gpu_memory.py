"""Says which buffer found no room on the GPU or in page-locked memory, and its size: the driver says neither."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def allocating(driver: Any, what: str, size: int) -> Iterator[None]:
    """Memory is taken inside. driver: `pycuda.driver`. what: the buffer, in words. size: bytes of it.

    Raises:
        MemoryError: as `no_room`.
    """
    try:
        yield
    # Not Python's MemoryError, whatever its name says.
    except driver.MemoryError as error:
        raise no_room(driver, what, size, str(error)) from error


def no_room(driver: Any, what: str, size: int, said: str) -> MemoryError:
    """Names the buffer, its size, what is free on the GPU as long as nothing is given back, and who said what."""
    free, total = driver.mem_get_info()
    return MemoryError(f"no room for {what}, {_mib(size)} MiB; {_mib(free)} of {_mib(total)} MiB are free; {said}")


def _mib(size: int) -> str:
    # As nvidia-smi counts.
    return f"{size / (1 << 20):,.1f}"
