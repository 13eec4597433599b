"""Files for the tests of `infer` and of decoding: many good images, and every kind of unreadable file."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from ssr_edge.images.preprocess import decode


def many_images(folder: Path, demo_images: list[Path], count: int) -> None:
    """Fills a new folder with `count` links to the demo's images, `0.jpg` and up."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.jpg").symlink_to(demo_images[number % len(demo_images)])


def broken_images(folder: Path, jpeg: Path) -> dict[bytes, str]:
    """Writes one file of every kind that can't be classified; returns by name what its reason must contain."""
    data, png = jpeg.read_bytes(), encoded(".png", decode(jpeg))
    contents = {
        b"zero.png": b"",
        b"truncated.png": png[: len(png) // 2],
        b"truncated.jpg": data[: len(data) // 2],
        b"huge.png": png_that_claims(50_000, 50_000),
        b"huge.tif": tiff_that_claims(50_000, 50_000),
        b"text.png": b"source,frame,label\n" * 100,
        b"two\nlines, and a comma.png": b"",
        b"caf\xe9.png": b"",
    }
    for name, content in contents.items():
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(content)
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    return {
        b"zero.png": "empty",
        b"truncated.png": "truncated",
        b"truncated.jpg": "truncated",
        b"huge.png": "134,217,728 pixels",
        b"huge.tif": "(50000, 50000)",
        b"text.png": "not an image",
        b"two\nlines, and a comma.png": "empty",
        b"caf\xe9.png": "empty",
        b"loop.png": "symbolic links",
        b"gone.png": "no such file",
    }


def encoded(suffix: str, image: np.ndarray) -> bytes:
    done, data = cv2.imencode(suffix, image)
    assert done
    return data.tobytes()


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header, with a right checksum, claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff_that_claims(width: int, height: int) -> bytes:
    """A little-endian TIFF of gray bytes in one strip whose header claims any size."""
    # Width, height, bits, no compression, black is zero, the strip's offset, samples, rows a strip, the strip's bytes.
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: width * height}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
