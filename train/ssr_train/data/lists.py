"""Lists of images to compare: a part of a split file, a folder, or a text file of names or paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import get_args

from ssr_edge.breakhis.index import INDEX
from ssr_edge.breakhis.names import parse_name
from ssr_edge.common.errors import DataError, UsageError
from ssr_edge.images.preprocess import IMAGE_SUFFIXES
from ssr_train.data.breakhis import Record, read
from ssr_train.data.splits import Part, Split


@dataclass(frozen=True)
class Listed:
    """One image of a list. name: without folder and suffix. label, patient, path: None if not known."""

    name: str
    label: str | None = None
    patient: str | None = None
    path: Path | None = None


@dataclass(frozen=True)
class ImageList:
    """A list of images. shown: the name the user gave it."""

    shown: str
    images: list[Listed]


def read_list(asked: str, available: Mapping[str, Record]) -> ImageList:
    """Reads `FOLDER`, `SPLIT.csv`, `SPLIT.csv:test` or a text file with a name or path per line (# starts a comment).

    available: records by name, for images that are listed by name only.

    Raises:
        UsageError: there is no such file or folder.
        DataError: the list can't be read, or is empty.
    """
    path, part = _path_and_part(asked)
    if path.is_dir():
        images = _of_folder(path)
    elif not path.is_file():
        raise UsageError(
            f"{asked} is neither a file nor a folder",
            expected="a folder, a split file (SPLIT.csv, SPLIT.csv:test), or a text file of names or paths",
            next_step="ssr-edge data leakage SPLIT.csv",
        )
    elif path.suffix.lower() == ".csv":
        images = _of_split(Split.read(path), part, available)
    else:
        images = [_of_line(line, path.parent, available) for line in _lines(path)]
    if not images:
        raise _unusable(f"{asked} contains no image")
    return ImageList(asked, images)


def parts_of(path: Path, available: Mapping[str, Record]) -> list[ImageList]:
    """The non-empty parts of a split file, each as a list.

    Raises:
        DataError: the file is not a split file.
    """
    split = Split.read(path)
    lists = [ImageList(part, _of_split(split, part, available)) for part in get_args(Part)]
    return [one for one in lists if one.images]


def _path_and_part(asked: str) -> tuple[Path, Part | None]:
    for part in get_args(Part):
        if asked.lower().endswith(f".csv:{part}"):
            return Path(asked[: -len(part) - 1]), part
    return Path(asked), None


def _of_folder(folder: Path) -> list[Listed]:
    if (folder / INDEX).is_file():
        return [_of_record(record) for record in read(folder)]
    paths = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    return [_named(path.stem, path) for path in paths]


def _of_split(split: Split, part: Part | None, available: Mapping[str, Record]) -> list[Listed]:
    return [_found(name, available) for name, of in split.parts.items() if part is None or of == part]


def _of_line(line: str, folder: Path, available: Mapping[str, Record]) -> Listed:
    file = PureWindowsPath(line)  # accepts both kinds of slash
    stem = file.stem if file.suffix.lower() in IMAGE_SUFFIXES else file.name
    path = folder / line
    return _named(stem, path) if path.is_file() else _found(stem, available)


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(f"{path} can't be read: {error}") from error
    if any("\0" in line for line in lines):
        raise _unusable(f"{path} is not a text file")
    return [line for line in lines if line and not line.startswith("#")]


def _found(name: str, available: Mapping[str, Record]) -> Listed:
    record = available.get(name)
    return _named(name, None) if record is None else _of_record(record)


def _named(name: str, path: Path | None) -> Listed:
    parsed = parse_name(f"{name}.png")
    return Listed(name, parsed.label if parsed else None, parsed.patient if parsed else None, path)


def _of_record(record: Record) -> Listed:
    return Listed(record.name, record.label, record.patient, record.path)


def _unusable(found: str) -> DataError:
    return DataError(
        found,
        expected="a folder with images, a split file, or a text file (UTF-8) with a name or path per line",
        next_step="ssr-edge data leakage SPLIT.csv:train SPLIT.csv:test",
    )
