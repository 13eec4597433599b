"""Looks at every file below a folder, in threads: hashing leaves Python's lock."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ssr_edge.breakhis.verify.originals import Originals
from ssr_edge.breakhis.verify.seen import Seen, look_at, not_read
from ssr_edge.common.progress import progress
from ssr_edge.machine.environment import usable_cores


def files_of_folder(root: Path, originals: Originals) -> Iterator[Seen]:
    """Yields what each file below `root` is, sorted by path. What can't be opened is yielded with its trouble."""
    paths = [path for path in sorted(root.rglob("*")) if path.is_symlink() or not path.is_dir()]
    pool = ThreadPoolExecutor(usable_cores())
    try:
        with progress("hashing, file", len(paths)) as advance:
            for seen in pool.map(lambda path: _look(path, root, originals), paths):
                advance(1, "")
                yield seen
    finally:
        pool.shutdown(cancel_futures=True)


def _look(path: Path, root: Path, originals: Originals) -> Seen:
    shown = path.relative_to(root).as_posix()
    try:
        # A pipe would be waited for without end.
        if not path.is_file():
            return not_read(shown, "neither a file nor a link to one", originals)
        with path.open("rb") as stream:
            return look_at(stream, shown, originals)
    except OSError as error:
        return not_read(shown, (error.strerror or "can't be read").lower(), originals)
