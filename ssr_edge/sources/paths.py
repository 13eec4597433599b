"""Expands a folder, glob or file into paths, lazily."""

from __future__ import annotations

import glob
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ssr_edge.common.errors import UsageError
from ssr_edge.images.preprocess import IMAGE_SUFFIXES
from ssr_edge.sources.recognize import SLIDE_SUFFIXES


def find_sources(source: str) -> Iterator[Path]:
    """Yields image paths lazily and in natural order (`tile2` before `tile10`).

    source: a folder (searched recursively; symbolic links to folders are not followed), a glob, or a file. In a folder,
    only files with an image or slide suffix are yielded; a file named explicitly is yielded whatever its suffix.

    Raises:
        UsageError: nothing matches the source.
    """
    try:
        return _named(source)
    except OSError as error:
        raise _nothing(f"{source}: {(error.strerror or str(error)).lower()}") from error


def _named(source: str) -> Iterator[Path]:
    if not source.strip():
        raise _nothing("the source is empty")
    path = Path(source)
    if path.is_dir():
        return _not_empty(_walk(path), f"no image in {source} or its subfolders")
    if path.exists() or path.is_symlink():
        return iter([path])
    if glob.has_magic(source):
        matches = sorted(map(Path, glob.iglob(source, recursive=True)), key=_natural)  # noqa: PTH207 (Path.glob refuses absolute patterns)
        return _not_empty((match for match in matches if match.is_file()), f"nothing matches {source}")
    raise _nothing(f"{source} does not exist")


def _walk(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir(), key=_natural)
    except OSError as error:
        print(f"skipped {folder}: {error.strerror}", file=sys.stderr)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)
        elif entry.suffix.lower() in IMAGE_SUFFIXES | SLIDE_SUFFIXES and not entry.is_dir():
            yield entry


def _natural(path: Path) -> list[tuple[int, int | str]]:
    # The first element sorts numbers before text, because the two can't be compared.
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", str(path)) if part]


def _not_empty(paths: Iterable[Path], otherwise: str) -> Iterator[Path]:
    iterator = iter(paths)
    first = next(iterator, None)
    if first is None:
        raise _nothing(otherwise)

    def everything(first: Path) -> Iterator[Path]:
        yield first
        yield from iterator

    return everything(first)


def _nothing(found: str) -> UsageError:
    return UsageError(
        found,
        expected="a folder, a glob in quotes, an image, a video, a camera's number, an rtsp:// or http:// stream, "
        "or - for paths on stdin; images are " + ", ".join(sorted(IMAGE_SUFFIXES)),
        next_step="ssr-edge infer FOLDER",
    )
