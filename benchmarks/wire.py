"""Measures transport overhead: an engine in this process against the same engine behind a KServe v2 server on loopback.

    scripts/mlserver
    python benchmarks/wire.py --bundle bundles/demo --precision int8

The engine runs behind a minimal gRPC server (kserve_server.py) and behind MLServer (docs/mlserver); a minimal server
that returns zeros measures the transport alone. They take turns. `one image` is the median of sequential calls; `batch
8` is the median ms per image with two calls in flight, as in `infer`; `added` is the median difference within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.images.preprocess import IMAGE_SIZE, Image, load_first
from ssr_edge.runners.base import Runner
from ssr_edge.runners.choose import open_runner, open_server_runner
from ssr_edge.runners.server.address import ServerAddress
from ssr_edge.sources.paths import find_sources

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "ssr_edge" / "demo" / "images"
MLSERVER = ROOT / ".venv-mlserver" / "bin" / "mlserver"
BATCH, SLOTS = 8, 2
HERE = "this process"


def main() -> None:
    """Prints one row per server with the time it adds to the engine in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=20, help="single-image calls per round")
    asked = parser.parse_args()
    images = np.stack(load_first([str(path) for path in find_sources(str(IMAGES))], BATCH))
    assert images.shape == (BATCH, IMAGE_SIZE, IMAGE_SIZE, 3)
    with ExitStack() as stack:
        runners = {HERE: open_runner(Bundle.open(asked.bundle), "openvino", asked.precision, SLOTS)}
        for title, options in (("minimal gRPC server", []), ("minimal gRPC server, no engine", ["--empty"])):
            port = _free_port()
            command = [sys.executable, str(ROOT / "benchmarks" / "kserve_server.py"), str(asked.bundle)]
            command += ["--precision", asked.precision, "--port", str(port), *options]
            runners[title] = stack.enter_context(_served(command, port, "serving"))
        if MLSERVER.exists():
            runners["MLServer"] = stack.enter_context(_mlserver(asked.bundle.resolve(), asked.precision))
        _measure(runners, images, asked.rounds, asked.calls)


def _measure(runners: dict[str, Runner], images: Image, rounds: int, calls: int) -> None:
    single: dict[str, list[list[float]]] = {title: [] for title in runners}
    batched: dict[str, list[float]] = {title: [] for title in runners}
    for runner in runners.values():
        _one_by_one(runner, images, calls)
    for _ in range(rounds):
        for title, runner in runners.items():
            single[title].append(_one_by_one(runner, images, calls))
            batched[title].append(_in_batches(runner, images, max(calls // BATCH, SLOTS + 1)))
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the end, {rounds} rounds")
    print("engine in                       one image ms     p99   added | batch 8, ms per image  added")
    here = [np.median(single[HERE], axis=1), np.array(batched[HERE])]
    for title in runners:
        one, many = np.median(single[title], axis=1), np.array(batched[title])
        p99 = np.percentile(single[title], 99)
        print(
            f"{title:30} {np.median(one):13.2f} {p99:7.2f} {np.median(one - here[0]):+7.2f} | "
            f"{np.median(many):22.2f} {np.median(many - here[1]):+7.2f}"
        )


def _one_by_one(runner: Runner, images: Image, calls: int) -> list[float]:
    found = []
    for number in range(calls):
        began = time.perf_counter()
        runner.infer(images[number % BATCH :][:1])
        found.append((time.perf_counter() - began) * 1000)
    return found


def _in_batches(runner: Runner, images: Image, calls: int) -> float:
    """Milliseconds per image."""
    began = time.perf_counter()
    under_way: deque[int] = deque()
    for _ in range(calls):
        if len(under_way) == SLOTS:
            runner.collect(under_way.popleft())
        under_way.append(runner.submit(images))
    while under_way:
        runner.collect(under_way.popleft())
    return (time.perf_counter() - began) * 1000 / (calls * BATCH)


@contextmanager
def _served(command: list[str], port: int, ready: str, **options: dict[str, str]) -> Iterator[Runner]:
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
    try:
        assert server.stdout is not None
        if not any(ready in line for line in server.stdout):
            sys.exit(f"{' '.join(command)} exited before it was ready")
        with open_server_runner(ServerAddress(f"127.0.0.1:{port}", "breast"), SLOTS) as runner:
            yield runner
    finally:
        server.kill()
        server.wait()


@contextmanager
def _mlserver(bundle: Path, precision: str) -> Iterator[Runner]:
    """MLServer with the example of docs/mlserver. scripts/mlserver's path file makes this project importable."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "breast"
        shutil.copytree(ROOT / "docs" / "mlserver", folder)
        port = _free_port()
        _change(folder / "settings.json", grpc_port=port, http_port=_free_port())
        parameters = {"uri": str(bundle), "version": "1", "extra": {"precision": precision}}
        _change(folder / "model-settings.json", parameters=parameters)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["PYTHONUNBUFFERED"] = "1"
        with _served([str(MLSERVER), "start", str(folder)], port, "gRPC server running", env=environment) as runner:
            yield runner


def _change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | values), encoding="utf-8")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


if __name__ == "__main__":
    main()
