"""Atomic file writes, the error for a path that can't be written, and SHA-256 hashes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssr_edge.common.errors import UsageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of `path`, which is created if necessary.

    On success the temporary file replaces `path` atomically; on an error it is deleted and `path` is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        # Some writers (safetensors) create files that only their owner can read.
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def cannot_write(path: Path | str, error: OSError, next_step: str) -> UsageError:
    """The error to raise when a path that the user named can't be written. next_step: a command that avoids it."""
    return UsageError(
        f"{path} can't be written: {error.strerror or error}",
        expected="a writable path on a disk with free space",
        next_step=next_step,
    )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
