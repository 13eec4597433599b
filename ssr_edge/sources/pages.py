"""The pages of a TIFF, each as a separate input."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

from ssr_edge.images.preprocess import decode
from ssr_edge.sources.inputs import Input, still, unreadable

_Order = Literal["little", "big"]
_ORDERS: dict[bytes, _Order] = {b"II": "little", b"MM": "big"}


def pages_of(path: Path) -> Iterator[Input]:
    """Yields a TIFF's pages in order, then a failure if the file ends before its list of pages does.

    OpenCV can count pages too, but does not report pages that are missing from a truncated file.
    """
    try:
        count, whole = _count_pages(path)
    except (OSError, ValueError):  # missing, unreadable, or not a valid file name: reading it reports the reason
        count, whole = 0, False
    if count < 2:
        yield still(path)
    else:
        yield from (Input(str(path), partial(decode, path, page), page) for page in range(count))
    if count and not whole:
        yield unreadable(
            str(path), f"page {count}: the file is truncated before this page; earlier ones were read", count
        )


def _count_pages(path: Path) -> tuple[int, bool]:
    """Number of directories (pages) in the chain of a TIFF or BigTIFF, and whether the chain is complete."""
    with path.open("rb") as file:
        mark = file.read(4)
        if mark[:2] not in _ORDERS:
            return 0, False
        order = _ORDERS[mark[:2]]
        version = int.from_bytes(mark[2:], order)
        if version == 42:
            return _follow(file, order, at=4, counter=2, entry=12, pointer=4)
        if version == 43:
            return _follow(file, order, at=8, counter=8, entry=20, pointer=8)
    return 0, False


def _follow(file: BinaryIO, order: _Order, at: int, counter: int, entry: int, pointer: int) -> tuple[int, bool]:
    """Follows the chain of directories. at: offset of the first pointer. counter, entry, pointer: sizes in bytes."""

    def number(position: int, size: int) -> int | None:
        if position >= 1 << 63:  # beyond the largest file offset
            return None
        file.seek(position)
        data = file.read(size)
        return int.from_bytes(data, order) if len(data) == size else None

    seen: set[int] = set()
    while True:
        directory = number(at, pointer)
        if directory == 0:
            return len(seen), True
        if directory is None or directory in seen:
            return len(seen), False
        entries = number(directory, counter)
        if entries is None:
            return len(seen), False
        at = directory + counter + entries * entry
        if number(at, pointer) is None:
            return len(seen), False
        seen.add(directory)
