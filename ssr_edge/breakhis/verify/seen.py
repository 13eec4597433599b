"""What one file of a copy is: read once, hashed meanwhile, and looked into only where its hash leaves a question."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

import numpy as np

from ssr_edge.breakhis.names import parse_name
from ssr_edge.breakhis.pixels import fingerprint
from ssr_edge.breakhis.verify.originals import DIGEST_BYTES, Original, Originals
from ssr_edge.common.errors import InputError
from ssr_edge.common.text import printable
from ssr_edge.images.preprocess import Image, decode_bytes

_CHUNK = 1 << 20
# The largest original has 0.9 MB. What is longer than this is hashed, but neither kept nor decoded.
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
    """One file. path: for messages. by_hash, by_name: the original that it is, and the one that it is called after.

    image_format: by the content, of a file whose hash is not known; None for something that is no image.
    complete: has its format's end mark. opens: can be decoded. pixels: fingerprint of the decoded image, only of
    patients who stand under two labels. trouble: why it could not, or must not, be read.
    """

    path: str
    name: str
    size: int = 0
    by_hash: Original | None = None
    by_name: Original | None = None
    image_format: str | None = None
    complete: bool = False
    opens: bool = False
    pixels: str | None = None
    trouble: str = ""


def look_at(stream: IO[bytes], path: str, originals: Originals) -> Seen:
    """Reads a file to its end in pieces and says what it is. path: with forward slashes.

    Raises:
        OSError: as the stream does.
    """
    digest, size, kept = hashlib.sha256(), 0, bytearray()
    while piece := stream.read(_CHUNK):
        digest.update(piece)
        size += len(piece)
        if size <= _LARGEST_KEPT:
            kept += piece
    content = np.frombuffer(bytes(kept) if size <= _LARGEST_KEPT else b"", np.uint8)
    name = PurePosixPath(path).name
    by_hash = originals.by_digest.get(digest.digest()[:DIGEST_BYTES])
    by_name = originals.by_stem.get(PurePosixPath(path).stem)
    image = None
    may_be_twin = _may_be_twin(by_hash, name, originals)
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


def not_read(path: str, trouble: str, originals: Originals) -> Seen:
    """An entry that could not, or must not, be read."""
    place = PurePosixPath(path)
    return Seen(printable(path), printable(place.name), by_name=originals.by_stem.get(place.stem), trouble=trouble)


def format_of(head: bytes) -> str | None:
    """The image format that a file begins like, or None."""
    found = next((name for magic, name in _FORMATS.items() if head.startswith(magic)), None)
    return None if found == "WebP" and head[8:12] != b"WEBP" else found


def _may_be_twin(by_hash: Original | None, name: str, originals: Originals) -> bool:
    said = by_hash.says if by_hash else parse_name(name)
    return said is not None and said.patient in originals.two_label_patients


def _decoded(content: Image) -> Image | None:
    try:
        return decode_bytes(content, "")
    except InputError:
        return None
