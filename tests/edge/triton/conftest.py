"""Bundles with every precision and kind of engine, and a parser of their repositories that uses Triton's protobuf."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from ssr_edge.bundle.bundle import Bundle, write_manifest
from ssr_edge.bundle.manifest import EngineEntry

PLAN = b"not a plan that TensorRT would load"


@pytest.fixture
def parse() -> Callable[[Path], pb.ModelConfig]:
    """`parse(folder)`: a model's config.pbtxt, parsed with the protobuf definitions of Triton's client."""
    return lambda folder: text_format.Parse((folder / "config.pbtxt").read_text(), pb.ModelConfig())


@pytest.fixture
def with_engines(tmp_path: Path, tiny_bundle: Bundle) -> Callable[..., Bundle]:
    """`with_engines({"runtime": ..., "precision": ...}, ...)`: the tiny bundle as `demo`, plus these engines."""

    def make(*engines: dict[str, Any]) -> Bundle:
        folder = tmp_path / "bundles" / "demo"
        shutil.copytree(tiny_bundle.path, folder)
        manifest = tiny_bundle.manifest.model_copy(deep=True)
        for number, fields in enumerate(engines):
            entry = EngineEntry(
                **{
                    "file": f"engines/{number}.plan",
                    "version": "10.13.3.9",
                    "device": "sm_89",
                    "model": f"model.{fields['precision']}.onnx",
                    "batch": (1, 8, 32),
                    "build_seconds": 0,
                    **fields,
                }
            )
            (folder / entry.file).write_bytes(PLAN + entry.file.encode())
            manifest.engines.append(entry)
        write_manifest(folder, manifest)
        return Bundle.open(folder)

    return make


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[..., Path]:
    """`make_bench(bundle, {"openvino-int8": {1: [8.0, 9.0], 8: [...]}})`: a bench.json of a bundle.

    Times in ms per call, by batch and round. Batch 1 is single-stream, others are offline.
    """
    from ssr_edge.bench.measure.schedule import Task
    from tests.edge.bench.report.reports import make_bench as make_bench_file

    def make(bundle: Bundle, engines: dict[str, dict[int, list[float]]], **fields: Any) -> Path:
        times = {
            Task(engine, "single-stream" if batch == 1 else "offline", batch): [[ms] for ms in rounds]
            for engine, batches in engines.items()
            for batch, rounds in batches.items()
        }
        bench = json.loads(make_bench_file(times).model_dump_json())
        manifest = bundle.manifest
        bench["bundle"] = {
            "name": manifest.name,
            "created": manifest.created,
            "checkpoint_sha256": manifest.provenance.checkpoint_sha256,
        }
        file = tmp_path / "bench.json"
        file.write_text(json.dumps(bench | fields))
        return file

    return make
