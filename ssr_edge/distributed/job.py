"""Hands parts to a pool of actors through Ray Data, and yields them as they are finished, in any order."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow

from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.distributed.parts import Part, pack_inputs
from ssr_edge.distributed.worker import PartWorker, Work

# Parts known to Ray at once: what bounds this process's memory. Actors start anew with each such window.
WINDOW = 10_000
# The one being computed, and the next: what a node that dies holds is computed again last.
_PARTS_AT_AN_ACTOR = 2
# Nodes and processes that an actor may outlive: an image that kills the process it is decoded in has to end the job.
# Retries of a part are not counted, because many are used up before Ray knows that a node is gone.
_RESTARTS = 8


@dataclass(frozen=True)
class Finished:
    """A part's number, how many images it has, and its file's content."""

    number: int
    images: int
    data: bytes


def compute(ray: Any, parts: Iterable[Part], work: Work, actors: int) -> Iterator[Finished]:
    """Yields each part once, in the order in which they are finished.

    A node that dies costs time: what it had not handed over is computed again elsewhere.

    Raises:
        SsrEdgeError: what an actor raised when it opened the bundle. RuntimeUnavailable: actors die again and again.
    """
    packed = map(_pack, parts)
    while window := list(islice(packed, WINDOW)):
        try:
            yield from _compute(ray, window, work, actors)
        except ray.exceptions.RayError as error:
            raise _lost(error) from error


def _pack(part: Part) -> pyarrow.Table:
    return pyarrow.table({"part": [part.number], "inputs": [pack_inputs(part)]})


def _compute(ray: Any, blocks: list[pyarrow.Table], work: Work, actors: int) -> Iterator[Finished]:
    with warnings.catch_warnings():
        # Ray 2.60 warns of options that have no name of their own yet, such as the last one.
        warnings.simplefilter("ignore")
        results = _mapped(ray.data.from_arrow(blocks), ray, len(blocks), work, actors)
    for table in results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for row in table.to_pylist():
            if row["error"]:
                raise pickle.loads(row["error"])
            yield Finished(row["part"], row["images"], row["data"])


def _mapped(parts: Any, ray: Any, count: int, work: Work, actors: int) -> Any:
    return parts.map_batches(
        PartWorker,
        fn_constructor_args=(work,),
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(actors, count), max_tasks_in_flight_per_actor=_PARTS_AT_AN_ACTOR),
        num_cpus=work.cores,
        num_gpus=work.gpus,
        max_restarts=_RESTARTS,
    )


def _lost(error: Exception) -> RuntimeUnavailable:
    words = [line.strip() for line in str(error).splitlines() if line.strip()]
    return RuntimeUnavailable(
        f"Ray gave up: {words[-1].partition('. ')[0] if words else type(error).__name__}",
        expected="nodes with ssr-edge installed, that outlive a part and can read its images",
        next_step="the same command with --resume  (finished parts are kept); Ray's logs: /tmp/ray/session_latest",
    )
