"""Distributes parts to a pool of actors with Ray Data, and yields them as they finish, in any order."""

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

# Parts submitted to Ray at once; bounds this process's memory. Actors restart for each window.
WINDOW = 10_000
# The current part and the next one. Parts lost with a node are recomputed last.
_PARTS_PER_ACTOR = 2
# Restarts of an actor after lost nodes or processes, limited so that an image that crashes its process ends the job.
# Retries of a part are not limited: many fail before Ray detects a lost node.
_RESTARTS = 8


@dataclass(frozen=True)
class Finished:
    """A part's number, its number of images, and its file's content."""

    number: int
    images: int
    data: bytes


def compute(ray: Any, parts: Iterable[Part], work: Work, actors: int) -> Iterator[Finished]:
    """Yields each part once, in the order of completion.

    If a node is lost, its unfinished parts are recomputed on other nodes.

    Raises:
        SsrEdgeError: an actor's error while opening the bundle. RuntimeUnavailable: actors crash repeatedly.
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
        # Ray 2.60 warns about options that are passed through **kwargs, such as the last one.
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
        compute=ray.data.ActorPoolStrategy(size=min(actors, count), max_tasks_in_flight_per_actor=_PARTS_PER_ACTOR),
        num_cpus=work.cores,
        num_gpus=work.gpus,
        max_restarts=_RESTARTS,
    )


def _lost(error: Exception) -> RuntimeUnavailable:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return RuntimeUnavailable(
        f"Ray stopped: {lines[-1].partition('. ')[0] if lines else type(error).__name__}",
        expected="nodes with ssr-edge installed that can read the images and have enough memory",
        next_step="run the same command with --resume  (finished parts are kept); logs: /tmp/ray/session_latest",
    )
