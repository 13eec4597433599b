"""Identifies one file of a copy: hashes it while reading it once, and decodes it only if the hash is not conclusive."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

import numpy as np

from ssr_edge.breakhis.names import parse_name
from ssr_edge.breakhis.pixels import fingerprint
from ssr_edge.breakhis.verify.official_files import DIGEST_BYTES, OfficialFile, OfficialFiles
from ssr_edge.common.errors import InputError
from ssr_edge.common.text import printable
from ssr_edge.images.preprocess import Image, decode_bytes

_CHUNK = 1 << 20
# The largest official file has 0.9 MB. Larger files than this are hashed, but neither kept nor decoded.
_LARGEST_KEPT = 16 << 20
_FORMATS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"BM": "BMP",
    b"RIFF": "WebP",
}


@dataclass(frozen=True)
class Seen:
    """One file. path: for messages. by_hash, by_name: the official file with the same hash, and with the same name.

    image_format: detected from the content if the hash is not known; None if the file is not an image.
    complete: has the end marker of PNG. opens: can be decoded. pixels: fingerprint of the decoded image, only for
    patients who appear in two classes. trouble: why the file could not be, or must not be, read.
    """

    path: str
    name: str
    size: int = 0
    by_hash: OfficialFile | None = None
    by_name: OfficialFile | None = None
    image_format: str | None = None
    complete: bool = False
    opens: bool = False
    pixels: str | None = None
    trouble: str = ""


def look_at(stream: IO[bytes], path: str, official: OfficialFiles) -> Seen:
    """Reads a file to its end in chunks and identifies it. path: with forward slashes.

    Raises:
        OSError: reading the stream failed.
    """
    digest, size, kept = hashlib.sha256(), 0, bytearray()
    while piece := stream.read(_CHUNK):
        digest.update(piece)
        size += len(piece)
        if size <= _LARGEST_KEPT:
            kept += piece
    content = np.frombuffer(bytes(kept) if size <= _LARGEST_KEPT else b"", np.uint8)
    name = PurePosixPath(path).name
    by_hash = official.by_digest.get(digest.digest()[:DIGEST_BYTES])
    by_name = official.by_stem.get(PurePosixPath(path).stem)
    image = None
    may_be_twin = _may_be_twin(by_hash, name, official)
    if may_be_twin or (by_hash is None and by_name is not None):
        image = _decoded(content)
    return Seen(
        path=printable(path),
        name=printable(name),
        size=size,
        by_hash=by_hash,
        by_name=by_name,
        image_format=None if by_hash else format_of(bytes(kept[:16])),
        complete=b"IEND" in kept[-16:],
        opens=image is not None,
        pixels=fingerprint(image) if may_be_twin and image is not None else None,
    )


def not_read(path: str, trouble: str, official: OfficialFiles) -> Seen:
    """An entry that could not be, or must not be, read."""
    place = PurePosixPath(path)
    return Seen(printable(path), printable(place.name), by_name=official.by_stem.get(place.stem), trouble=trouble)


def format_of(head: bytes) -> str | None:
    """The image format by the first bytes of a file, or None."""
    found = next((name for magic, name in _FORMATS.items() if head.startswith(magic)), None)
    return None if found == "WebP" and head[8:12] != b"WEBP" else found


def _may_be_twin(by_hash: OfficialFile | None, name: str, official: OfficialFiles) -> bool:
    parsed = by_hash.parsed if by_hash else parse_name(name)
    return parsed is not None and parsed.patient in official.two_label_patients


def _decoded(content: Image) -> Image | None:
    try:
        return decode_bytes(content, "")
    except InputError:
        return None
