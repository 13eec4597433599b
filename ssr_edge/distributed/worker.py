"""What runs on the nodes: an actor opens the bundle once and classifies parts with the pipeline of a local run."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssr_edge.bundle.bundle import MANIFEST, Bundle
from ssr_edge.common.errors import BundleError, RuntimeUnavailable, SsrEdgeError
from ssr_edge.common.files import sha256_of
from ssr_edge.distributed.parts import Part, unpack
from ssr_edge.images.opencv import cv2
from ssr_edge.inference.pipeline import classify
from ssr_edge.results.record import RunRecord
from ssr_edge.runners.base import Runner
from ssr_edge.runners.choose import choose_precision, choose_runtime, open_runner

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class Work:
    """What every actor does, whichever node it is on. folder: the command's, against which paths are relative.

    manifest: SHA-256 of the bundle's. cores: of an actor; its engine and its decoders have so many threads each.
    gpus: of an actor, or a share of one. batch, requests: as in a local run.
    """

    folder: Path
    bundle: Path
    manifest: str
    runtime: str
    precision: str | None
    resize: str
    batch: int
    requests: int
    cores: int
    gpus: float


class PartWorker:
    """Takes a table of `part` (number) and `inputs` (packed), yields one of `part`, `images`, `data`, `error` for each.

    data: the part's file (`part_file`). error: a pickled SsrEdgeError that stands in its place. It is no exception,
    because Ray would start the actor again and wrap what it says in tracebacks.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        try:
            self._bundle, self._runner = _open(work)
        except SsrEdgeError as error:
            self._error: SsrEdgeError | None = error
        else:
            self._error = None

    def __call__(self, table: pyarrow.Table) -> Iterator[pyarrow.Table]:
        """See PartWorker."""
        import pyarrow

        for row in table.to_pylist():
            part = unpack(row["part"], row["inputs"])
            done = {"part": part.number, "images": len(part.inputs), "data": b"", "error": b""}
            if self._error is None:
                done["data"] = self._classify(part)
            else:
                done["error"] = pickle.dumps(self._error)
            yield pyarrow.Table.from_pylist([done])

    def _classify(self, part: Part) -> bytes:
        from ssr_edge.distributed.part_file import PartRecord, to_parquet

        work, runner = self._work, self._runner
        record = PartRecord(**RunRecord.of(self._bundle, runner).model_dump(), inputs=part.digest)
        magnification = self._bundle.manifest.magnification
        return to_parquet(classify(part.inputs, runner, work.batch, work.cores, magnification), record)


def _open(work: Work) -> tuple[Bundle, Runner]:
    node = socket.gethostname()
    try:
        os.chdir(work.folder)
    except OSError as error:
        raise RuntimeUnavailable(
            f"node {node} can't enter {work.folder}: {(error.strerror or str(error)).lower()}",
            expected="the command's folder, the images and the bundle under the same paths on every node",
            next_step="cd SHARED_FOLDER, then the same command",
        ) from error
    bundle = Bundle.open(work.bundle)
    if sha256_of(bundle.path / MANIFEST) != work.manifest:
        raise BundleError(
            f"{bundle.path} on node {node} is another bundle than the one here",
            expected="the same bundle under the same path on every node",
            next_step=f"rsync -a {bundle.path.resolve()}/ {node}:{bundle.path.resolve()}/",
        )
    # Every decoding thread would have as many of OpenCV's as the node has cores.
    cv2.setNumThreads(1)
    if not work.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    precision = choose_precision(bundle, work.precision, work.runtime)
    runtime, _ = choose_runtime(bundle, work.runtime, precision)
    runner = open_runner(
        bundle,
        runtime,
        precision,
        work.requests,
        work.resize,
        single=work.batch == 1,
        threads=work.cores,
    )
    return bundle, runner
