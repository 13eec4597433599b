"""Reads every file below a folder, in threads: hashing releases Python's global interpreter lock."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ssr_edge.breakhis.verify.official_files import OfficialFiles
from ssr_edge.breakhis.verify.seen import Seen, look_at, not_read
from ssr_edge.common.progress import progress
from ssr_edge.machine.environment import usable_cores


def files_of_folder(root: Path, official: OfficialFiles) -> Iterator[Seen]:
    """Yields each file below `root`, sorted by path; files that can't be opened are yielded with their `trouble`."""
    paths = [path for path in sorted(root.rglob("*")) if path.is_symlink() or not path.is_dir()]
    pool = ThreadPoolExecutor(usable_cores())
    try:
        with progress("hashing, file", len(paths)) as advance:
            for seen in pool.map(lambda path: _look(path, root, official), paths):
                advance(1, "")
                yield seen
    finally:
        pool.shutdown(cancel_futures=True)


def _look(path: Path, root: Path, official: OfficialFiles) -> Seen:
    shown = path.relative_to(root).as_posix()
    try:
        # Reading a named pipe would block forever.
        if not path.is_file():
            return not_read(shown, "neither a file nor a link to one", official)
        with path.open("rb") as stream:
            return look_at(stream, shown, official)
    except OSError as error:
        return not_read(shown, (error.strerror or "can't be read").lower(), official)
