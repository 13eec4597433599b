"""Reads every file in a .tar or .tar.gz as a stream: nothing is unpacked, nothing is written.

`tarfile` is made for trusted archives. Here it reads through `_Tape`, which only moves forward and limits the size of a
read, so that a malicious header can neither seek backwards nor exhaust memory. `tarfile` also stops silently at a
damaged header; the last block of the tape reveals that.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from ssr_edge.breakhis.verify.official_files import OfficialFiles
from ssr_edge.breakhis.verify.seen import Seen, look_at, not_read
from ssr_edge.common.errors import DataError
from ssr_edge.common.progress import progress
from ssr_edge.common.text import printable

_BLOCK = 512
_GZIP = b"\x1f\x8b"
# tarfile reads a whole extended header at once, and a malicious one may claim gigabytes.
_LARGEST_READ = 1 << 20
# Raised by tarfile and gzip on damaged or malicious input.
_BROKEN = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError, RecursionError, KeyError)


class BrokenOff(Exception):
    """The archive can't be read any further; the message is the reason. Files yielded before remain valid."""


class _Tape:
    """A forward-only stream. last: the first block, at most, of the last read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._position, self.last = stream, 0, b""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError(f"a header claims to be {size} bytes long")
        piece = self._stream.read(size)
        self._position += len(piece)
        self.last = piece[:_BLOCK]
        return piece

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position < self._position:
            raise tarfile.ReadError("a header points backwards")
        while self._position < position:
            if not self.read(min(_LARGEST_READ, position - self._position)):
                raise tarfile.ReadError("the archive ends in the middle of a file")
        return self._position


def files_of_archive(path: Path, official: OfficialFiles) -> Iterator[Seen]:
    """Yields each file in a .tar or .tar.gz in the order of the archive, in constant memory.

    Links, devices and names that lead out of the archive are not read, but yielded with their `trouble`.

    Raises:
        DataError: the file is not such an archive, or can't be opened.
        BrokenOff: the archive is truncated, damaged or malicious from here on.
    """
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == _GZIP
            raw.seek(0)
            tape = _Tape(cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if compressed else raw)
            size = path.stat().st_size
            with progress("hashing, file", None) as advance:
                for seen in _files(tape, path, official):
                    advance(1, f"{100 * raw.tell() / size:.0f}% of the archive")
                    yield seen
    except OSError as error:
        raise _no_archive(f"{path} can't be read: {(error.strerror or str(error)).lower()}") from error


def _files(tape: _Tape, path: Path, official: OfficialFiles) -> Iterator[Seen]:
    try:
        archive = tarfile.TarFile(fileobj=cast(IO[bytes], tape), errorlevel=1)
    except _BROKEN as error:
        raise _no_archive(f"{path} is not a tar archive: {_reason(error)}") from error
    try:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile would keep them all
            if not member.isdir():
                yield _look(archive, member, official)
        _check_end(tape)
    except _BROKEN as error:
        raise BrokenOff(_reason(error)) from error


def _look(archive: tarfile.TarFile, member: tarfile.TarInfo, official: OfficialFiles) -> Seen:
    if trouble := _why_not_read(member):
        return not_read(member.name, trouble, official)
    stream = archive.extractfile(member)
    assert stream is not None
    return look_at(stream, member.name, official)


def _why_not_read(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return f"a link to {printable(member.linkname)}"
    if not member.isreg():
        return "a device or other special entry"
    if member.issparse():
        return "a sparse file: its size can't be trusted"
    place = PurePosixPath(member.name.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or ":" in place.parts[0]:
        return "its name leads out of the archive"
    return ""


def _check_end(tape: _Tape) -> None:
    """Distinguishes the end of the archive from a header that tarfile could not read, and checks gzip's checksum."""
    if not tape.last:
        raise tarfile.ReadError("the end-of-archive marker is missing")
    if tape.last.strip(b"\0"):
        raise tarfile.ReadError("the header of the next file is damaged")
    while tape.read(_LARGEST_READ):
        pass


def _reason(error: BaseException) -> str:
    return "headers nested too deeply" if isinstance(error, RecursionError) else printable(str(error)) or repr(error)


def _no_archive(found: str) -> DataError:
    return DataError(
        found,
        expected="a folder, or a .tar or .tar.gz archive",
        next_step="ssr-edge data verify BreaKHis_v1.tar.gz",
    )
