"""Runs on the nodes: an actor opens the bundle once and classifies parts with the pipeline of a local run."""

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
    """The configuration shared by all actors. folder: the command's working folder, for relative paths.

    manifest: SHA-256 of the bundle's manifest. cores: per actor; threads of its engine, and of its decoders.
    gpus: per actor, may be a fraction. batch, requests: as in a local run.
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
    """Takes a table of `part` (number) and `inputs` (packed); yields one of `part`, `images`, `data`, `error` per row.

    data: the part's file (see `part_file`). error: a pickled SsrEdgeError instead of data. It is not raised, because
    Ray would restart the actor and wrap the message in tracebacks.
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
            f"node {node} can't open the working folder {work.folder}: {(error.strerror or str(error)).lower()}",
            expected="working folder, images and bundle at the same paths on every node",
            next_step="cd SHARED_FOLDER, then run the same command",
        ) from error
    bundle = Bundle.open(work.bundle)
    if sha256_of(bundle.path / MANIFEST) != work.manifest:
        raise BundleError(
            f"{bundle.path} on node {node} differs from the bundle on this machine",
            expected="the same bundle at the same path on every node",
            next_step=f"rsync -a {bundle.path.resolve()}/ {node}:{bundle.path.resolve()}/",
        )
    # Otherwise every decoding thread would start one OpenCV thread per core of the node.
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
