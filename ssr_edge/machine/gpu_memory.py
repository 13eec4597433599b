"""Out-of-memory errors that name the buffer and its size, which the CUDA driver omits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def allocating(driver: Any, what: str, size: int) -> Iterator[None]:
    """Wraps an allocation. driver: `pycuda.driver`. what: description of the buffer. size: in bytes.

    Raises:
        MemoryError: see `no_room`.
    """
    try:
        yield
    # pycuda's exception, not Python's MemoryError.
    except driver.MemoryError as error:
        raise no_room(driver, what, size, str(error)) from error


def no_room(driver: Any, what: str, size: int, message: str) -> MemoryError:
    """The error for a failed allocation: buffer, size, free GPU memory, and the driver's message."""
    free, total = driver.mem_get_info()
    return MemoryError(f"no room for {what}, {_mib(size)} MiB; {_mib(free)} of {_mib(total)} MiB are free; {message}")


def _mib(size: int) -> str:
    # Same unit as nvidia-smi.
    return f"{size / (1 << 20):,.1f}"
