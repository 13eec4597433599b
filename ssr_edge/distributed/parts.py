"""Splits inputs into parts that depend only on the inputs and the part size."""

from __future__ import annotations

import hashlib
import os
import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from ssr_edge.sources.inputs import Input


@dataclass(frozen=True)
class Part:
    """Inputs that one actor classifies in one task. number: from 0, in the order of the inputs."""

    number: int
    inputs: Sequence[Input]

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the inputs' names and frames; distinguishes parts with the same number."""
        digest = hashlib.sha256()
        for item in self.inputs:
            digest.update(b"%s\0%d\0" % (os.fsencode(item.source), item.frame))
        return digest.hexdigest()


def cut(inputs: Iterable[Input], size: int) -> Iterator[Part]:
    """Yields parts of `size` inputs; the last may be smaller."""
    iterator, number = iter(inputs), 0
    while some := tuple(islice(iterator, size)):
        yield Part(number, some)
        number += 1


def pack_inputs(part: Part) -> bytes:
    """A part's inputs, compressed for another process: similar paths take about ten bytes each."""
    return zlib.compress(pickle.dumps(part.inputs), 1)


def unpack(number: int, packed: bytes) -> Part:
    """The inverse of `pack_inputs`. Uses pickle: only for data sent by this program."""
    return Part(number, pickle.loads(zlib.decompress(packed)))
