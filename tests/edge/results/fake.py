"""A runner without an engine, and images of a few bytes, for tests with hundreds of runs."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ssr_edge.images.preprocess import Image
from ssr_edge.inference.pipeline import classify
from ssr_edge.results.record import RunRecord
from ssr_edge.results.results import Results
from ssr_edge.runners.base import Outputs, Runner
from ssr_edge.sources.inputs import still

RUN = RunRecord(bundle="0" * 64, engine="fake-fp32", version="1", device="CPU")


class FakeRunner(Runner):
    """Computes probabilities from an image's bytes alone, whatever else is in the batch."""

    runtime, precision, version, device, origin = "fake", "fp32", "1", "CPU", "nowhere"
    max_batch, slots = 4, 2

    def __init__(self) -> None:
        self._open: dict[int, Outputs] = {}
        self._tickets = 0

    def submit(self, images: Image) -> int:
        logits = np.stack([np.random.default_rng(zlib.crc32(image.tobytes())).normal(size=8) for image in images])
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        self._tickets += 1
        self._open[self._tickets] = Outputs(logits.astype(np.float32), probabilities.astype(np.float32))
        return self._tickets

    def collect(self, ticket: int) -> Outputs:
        return self._open.pop(ticket)

    def close(self) -> None:
        self._open.clear()


def image(path: Path, number: int) -> Path:
    """Writes an image of 8x8 pixels, different for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    done, data = cv2.imencode(".png", pixels)
    assert done
    path.write_bytes(data.tobytes())
    return path


def run(outputs: Sequence[Path], inputs: Sequence[Path], resume: bool = False, group_by: str | None = None) -> Results:
    """Classifies every input, as `ssr-edge infer` does."""
    with Results([str(output) for output in outputs], group_by) as results:
        found = map(still, inputs)
        left = results.resume(RUN, found) if resume else found
        if not resume:
            results.begin(RUN)
        for result in classify(left, FakeRunner(), 4, threads=1):
            results.add(result)
    return results
