"""An actor without Ray: it computes the same as a local run, with no more threads than it was given."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.files import sha256_of
from ssr_edge.distributed.part_file import read_results, record_in
from ssr_edge.distributed.parts import Part, pack_inputs
from ssr_edge.distributed.worker import PartWorker, Work
from ssr_edge.images.opencv import cv2
from ssr_edge.inference.pipeline import Failure, classify
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.rows import fields
from ssr_edge.runners.choose import open_runner
from ssr_edge.sources.inputs import still


@pytest.fixture
def work(tiny_bundle: Bundle, tmp_path: Path) -> Iterator[Work]:
    """The work of an actor with one core; its changes to this process are undone."""
    before = os.environ.copy(), Path.cwd(), cv2.getNumThreads()
    manifest = sha256_of(tiny_bundle.path / "manifest.json")
    yield Work(tmp_path, tiny_bundle.path, manifest, "auto", None, "cpu", batch=4, requests=2, cores=1, gpus=0)
    os.environ.clear()
    os.environ.update(before[0])
    os.chdir(before[1])
    cv2.setNumThreads(before[2])


def call(worker: PartWorker, *parts: Part) -> list[dict[str, Any]]:
    table = pyarrow.table({"part": [part.number for part in parts], "inputs": [pack_inputs(part) for part in parts]})
    return [row for done in worker(table) for row in done.to_pylist()]


def test_a_part_has_the_rows_of_a_local_run(
    work: Work, tiny_bundle: Bundle, demo_images: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "empty.png").touch()
    inputs = [still(path) for path in (*demo_images[:6], Path("empty.png"), *demo_images[6:9])]
    parts = [Part(4, inputs[:7]), Part(5, inputs[7:])]
    done = call(PartWorker(work), *parts)
    assert [(row["part"], row["images"], row["error"]) for row in done] == [(4, 7, b""), (5, 3, b"")]
    found = []
    for row, part in zip(done, parts, strict=True):
        assert record_in(row["data"]).inputs == part.digest
        (tmp_path / "part").write_bytes(row["data"])
        found += list(read_results(tmp_path / "part"))
    with open_runner(tiny_bundle, "openvino", "int8") as runner:
        expected = list(classify(inputs, runner, 4, 2, tiny_bundle.manifest.magnification))
    assert [row_of(result) for result in found] == [row_of(result) for result in expected]
    assert found[6] == Failure("empty.png", "the file is empty")


def row_of(result: Prediction | Failure) -> Any:
    return result if isinstance(result, Failure) else fields(result) | {"latency_ms": None}


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_an_engine_has_the_threads_of_its_actor(work: Work, runtime: str) -> None:
    for cores in (1, 2):
        worker = PartWorker(replace(work, runtime=runtime, precision="fp32", cores=cores))
        assert worker._runner.threads == cores
    assert cv2.getNumThreads() == 1
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize("batch", [1, 4])
def test_openvino_compiled_here_has_the_threads_too(tiny_bundle: Bundle, batch: int) -> None:
    """The limit applies both to the bundle's blob and to the compiled ONNX file."""
    with open_runner(tiny_bundle, "openvino", "int8", single=batch == 1, threads=1) as runner:
        assert runner.threads == 1
        assert runner.origin.startswith("compiled" if batch == 1 else "engines/")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"folder": Path("/nowhere")}, "/nowhere: no such file or directory"),
        ({"manifest": "0" * 64}, "differs from the bundle"),
        ({"bundle": Path("/nowhere")}, "/nowhere "),
        ({"precision": "int4"}, "int4"),
    ],
)
def test_every_part_gets_the_error_of_an_actor_that_can_not_open_its_bundle(
    work: Work, changes: Any, found: str
) -> None:
    worker = PartWorker(replace(work, **changes))
    for row in call(worker, Part(0, [still(Path("a"))]), Part(1, [still(Path("b"))])):
        assert (row["data"], found in pickle.loads(row["error"]).found) == (b"", True)
