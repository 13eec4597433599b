"""What every quantizer's process does: reads its task from stdin, runs, and prints what it took as a line of JSON."""

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

# Share of the free memory that a quantizer may take: one that keeps its activations shall fail, not the machine.
_MEMORY_SHARE = 0.9


@dataclass(frozen=True)
class Task:
    """model: the FP32 ONNX file. output: the file to write. images: to calibrate with. settings: the row's own."""

    model: Path
    output: Path
    images: list[Path]
    settings: dict[str, Any]


def work(quantize: Callable[[Task], None], packages: Sequence[str]) -> None:
    """Times `quantize` on the task from stdin; prints seconds, cpu_seconds, peak_rss_mb and the packages' versions.

    Imports are not in the seconds; decoding the images is. Whatever else is printed goes to stderr.
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
    """Decodes one image after the other: uint8 BGR [1, 224, 224, 3]."""
    return (load(path)[None] for path in images)


def _refuse_network(event: str, _: object) -> None:
    """NNCF and OpenVINO's tools report their use unless told not to; whatever they were told, nothing leaves here."""
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise PermissionError(f"{event}: a benchmark has no business on the network")


def _limit_memory() -> None:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            limit = int(int(line.split()[1]) * 1024 * _MEMORY_SHARE)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
