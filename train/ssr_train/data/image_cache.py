"""A cache of decoded images on disk, shared by runs and processes: images are decoded once, then mapped into memory.

A cache is a folder `DIR/KEY`: a uint8 array of all images for each size, and cache.json with their hashes. The key
depends on the files and on how they were decoded, so a changed data set gets a new cache; old ones are never deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ssr_edge.breakhis.pixels import fingerprint
from ssr_edge.common.errors import InputError
from ssr_edge.common.files import sha256_of
from ssr_edge.common.progress import Log, progress
from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import Image, decode, resize
from ssr_train.data.breakhis import Record
from ssr_train.data.dataset import LabeledImages, load_or_reason

# Increase when `ssr_edge.images.preprocess` or the file format changes, so that older caches are not used.
_VERSION = 1
_CARD = "cache.json"


@dataclass(frozen=True)
class ImageCache:
    """pixels: by size, uint8 [n, size, size, 3], BGR, mapped. digests: by path, of the image before resizing;
    None if the image can't be read. rows: by path, position in the arrays.
    """

    pixels: dict[int, Image]
    digests: dict[Path, str | None]
    rows: dict[Path, int]

    def load(self, records: Sequence[Record], size: int) -> LabeledImages:
        """Same as `load_images`, without decoding; the cache must have been opened with this `size`."""
        kept = [record for record in records if self.digests[record.path] is not None]
        lost = [load_or_reason(record.path, size) for record in records if self.digests[record.path] is None]
        return LabeledImages(
            stored=self.pixels[size],
            rows=np.array([self.rows[record.path] for record in kept], np.int64),
            targets=torch.tensor([record.target for record in kept], dtype=torch.int64),
            records=kept,
            unreadable=[reason.found for reason in lost if isinstance(reason, InputError)],
        )


def open_image_cache(root: Path, records: Sequence[Record], sizes: Sequence[int], log: Log) -> ImageCache | None:
    """Opens the cache of these images below `root`; decodes them first if it is missing, damaged or stale.

    If several processes need the same cache, one decodes and the others wait. Logs a message and returns None if
    `root` can't be written or the disk is full: the run continues without a cache.
    """
    folder = root / _key(records, sizes)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f"{folder.name}.lock"):
            cache = _open(folder, records, sizes, log)
            if cache is None:
                log(f"decoding {len(records)} images into the cache {root}")
                _build(folder, records, sizes)
                cache = _open(folder, records, sizes, log)
            return cache
    except OSError as error:
        log(f"no image cache in {root}: {error.strerror or error}; the images are decoded for this run only")
        return None


def _key(records: Sequence[Record], sizes: Sequence[int]) -> str:
    def stamp(record: Record) -> tuple[str, int, int]:
        try:
            found = record.path.stat()
        except OSError:
            return (record.name, -1, -1)
        return (record.name, found.st_size, found.st_mtime_ns)

    what = [_VERSION, cv2.__version__, list(sizes), sorted(map(stamp, records))]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]


def _open(folder: Path, records: Sequence[Record], sizes: Sequence[int], log: Log) -> ImageCache | None:
    if not folder.exists():
        return None
    try:
        card = json.loads((folder / _CARD).read_text())
        row_of = {name: row for row, name in enumerate(card["digests"])}
        damaged = [size for size in sizes if sha256_of(_array(folder, size)) != card["sha256"][str(size)]]
        pixels: dict[int, Image] = {size: np.load(_array(folder, size), mmap_mode="r") for size in sizes}
        digests: dict[Path, str | None] = {record.path: card["digests"][record.name] for record in records}
        rows = {record.path: row_of[record.name] for record in records}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        damaged = list(sizes)
    if damaged:
        log(f"the image cache {folder} is damaged and will be rebuilt")
        return None
    # Files that could not be read may have become readable, e.g. after a permission was fixed.
    if any(digest is None and not isinstance(load_or_reason(path, 8), InputError) for path, digest in digests.items()):
        return None
    return ImageCache(pixels, digests, rows)


def _build(folder: Path, records: Sequence[Record], sizes: Sequence[int]) -> None:
    """Decodes into a temporary folder and renames it to `folder`, so that a kill leaves no incomplete cache."""
    for left_by_a_kill in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left_by_a_kill)
    part = folder.parent / f".{folder.name}.{os.getpid()}"
    part.mkdir()
    try:
        digests = _write_arrays(part, records, sizes)
        hashes = {str(size): sha256_of(_array(part, size)) for size in sizes}
        (part / _CARD).write_text(json.dumps({"sha256": hashes, "digests": digests}))
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_arrays(part: Path, records: Sequence[Record], sizes: Sequence[int]) -> dict[str, str | None]:
    """Writes an array for each size and returns the digests by name; unreadable images are black, their digest None."""
    digests: dict[str, str | None] = {}
    # Written, not mapped: on a full disk, writing to a mapped page kills the process; a failed write raises an error.
    files = {size: _array(part, size).open("wb") for size in sizes}
    try:
        for size, file in files.items():
            shape = (len(records), size, size, 3)
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        with ThreadPoolExecutor() as pool, progress("decoding", len(records)) as advance:
            for record, (digest, images) in zip(records, pool.map(partial(_decode, sizes), records), strict=True):
                digests[record.name] = digest
                for size, image in zip(sizes, images, strict=True):
                    files[size].write(image.tobytes())
                advance(1, "")
    finally:
        for file in files.values():
            file.close()
    return digests


def _decode(sizes: Sequence[int], record: Record) -> tuple[str | None, list[Image]]:
    try:
        image = decode(record.path)
    except InputError:
        return None, [np.zeros((size, size, 3), np.uint8) for size in sizes]
    return fingerprint(image), [resize(image, size) for size in sizes]


def _array(folder: Path, size: int) -> Path:
    return folder / f"{size}.npy"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a file lock, which is released when the process ends for any reason."""
    try:
        import fcntl
    except ImportError:  # Windows: processes that start together may each decode; the folder of the last one is kept
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
