"""Worker process of every quantizer: reads a task from stdin, runs it, and prints time and memory as a line of JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ssr_edge.images.preprocess import Image, load
from ssr_edge.machine.memory import peak_rss_mb

# Fraction of the available memory that a quantizer may use: one that keeps all activations fails, not the machine.
_MEMORY_SHARE = 0.9


@dataclass(frozen=True)
class Task:
    """model: the FP32 ONNX file. output: the file to write. images: calibration images. settings: of the row."""

    model: Path
    output: Path
    images: list[Path]
    settings: dict[str, Any]


def work(quantize: Callable[[Task], None], packages: Sequence[str]) -> None:
    """Times `quantize` on the task from stdin; prints seconds, cpu_seconds, peak_rss_mb and the packages' versions.

    The seconds exclude imports and include decoding the images. All other output goes to stderr.
    """
    claimed = os.dup(1)
    os.dup2(2, 1)
    sys.addaudithook(_refuse_network)
    _limit_memory()
    asked = json.load(sys.stdin)
    task = Task(Path(asked["model"]), Path(asked["output"]), [Path(p) for p in asked["images"]], asked["settings"])
    started, cpu_started = time.perf_counter(), time.process_time()
    quantize(task)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    found = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_rss_mb": peak_rss_mb(),
        "versions": {package: version(package) for package in packages},
    }
    with open(claimed, "w", encoding="utf-8") as stdout:  # noqa: PTH123 (a descriptor)
        stdout.write(json.dumps(found) + "\n")


def batches(images: Sequence[Path]) -> Iterator[Image]:
    """Decodes images one at a time: uint8 BGR [1, 224, 224, 3]."""
    return (load(path)[None] for path in images)


def _refuse_network(event: str, _: object) -> None:
    """Audit hook that blocks the network: NNCF and OpenVINO's tools report usage by default."""
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise PermissionError(f"{event}: network access is blocked in benchmarks")


def _limit_memory() -> None:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            limit = int(int(line.split()[1]) * 1024 * _MEMORY_SHARE)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
