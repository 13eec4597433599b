"""Measures label latency, dropped frames and recovery time after a camera loss on a live stream.

    python benchmarks/live.py --bundle bundles/demo

Serves images as MJPEG over HTTP on loopback from a separate process, runs `ssr-edge infer URL --live` on them, stops
the server halfway and restarts it. Latency is the time from receiving a frame to its label.
"""

from __future__ import annotations

import argparse
import csv
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SERVER = Path(__file__).with_name("mjpeg_server.py")
IMAGES = Path(__file__).parents[1] / "ssr_edge" / "demo" / "images"
INFER = "from ssr_edge.cli.main import run; run()"
WINDOW_S = 10


def main() -> None:
    """Prints one line per ten seconds, one for the whole run, and the recovery time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--folder", default=str(IMAGES))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--away", type=float, default=3.0, help="seconds for which the camera is stopped")
    parser.add_argument("--precision", help="(default: the bundle's choice)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "live.csv"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        options = ["--live", "--seconds", str(asked.seconds), "--bundle", asked.bundle, "-o", str(results)]
        options += ["--precision", asked.precision] if asked.precision else []
        server = _serve(asked.folder, port, asked.fps)
        infer = subprocess.Popen(
            [sys.executable, "-c", INFER, "infer", f"http://127.0.0.1:{port}/", *options], stdout=subprocess.DEVNULL
        )
        _wait_for_labels(results, infer)
        time.sleep(asked.seconds / 2)
        server.kill()
        server.wait()
        time.sleep(asked.away)
        server = _serve(asked.folder, port, asked.fps)
        back = time.time()
        code, peak_mb = _wait_with_memory(infer)
        server.kill()
        with results.open(newline="", encoding="utf-8") as file:
            rows = [
                (float(row["seconds"]), int(row["frame"]), float(row["latency_ms"])) for row in csv.DictReader(file)
            ]
    print(
        f"{asked.bundle} at {asked.fps:g} frames/s, load average {os.getloadavg()[0]:.1f} at the end, exit code {code}"
    )
    print("   start, s  labels  labels/s  dropped   p50 ms   p95 ms   p99 ms   max ms")
    started = rows[0][0]
    for begin in range(0, int(rows[-1][0] - started) + 1, WINDOW_S):
        window = [row for row in rows if begin <= row[0] - started < begin + WINDOW_S]
        if window:
            _line(f"{begin:11d}", window, rows)
    _line("  whole run", rows, rows)
    recovered = next((seconds + latency / 1000 - back for seconds, _, latency in rows if seconds > back), None)
    print(f"camera stopped for {asked.away:g} s: " + _recovery(recovered) + f"; peak memory {peak_mb:.0f} MB")


def _line(title: str, window: Sequence[tuple[float, int, float]], rows: Sequence[tuple[float, int, float]]) -> None:
    seconds, frames, latencies = zip(*window, strict=True)
    # Drops before a window's first label count for that window.
    before = max((frame for _, frame, _ in rows if frame < frames[0]), default=-1)
    dropped = frames[-1] - before - len(frames)
    rate = (len(frames) - 1) / max(seconds[-1] - seconds[0], 1e-3)
    p50, p95, p99 = np.percentile(latencies, (50, 95, 99))
    print(
        f"{title} {len(frames):7d} {rate:9.1f} {dropped:8d} {p50:8.1f} {p95:8.1f} {p99:8.1f} {max(latencies):8.1f}",
    )


def _recovery(seconds: float | None) -> str:
    return "no label after the restart" if seconds is None else f"first label {seconds:.2f} s after the restart"


def _serve(folder: str, port: int, fps: float) -> subprocess.Popen[bytes]:
    server = subprocess.Popen(
        [sys.executable, str(SERVER), folder, "--port", str(port), "--fps", str(fps)], stdout=subprocess.PIPE
    )
    assert server.stdout is not None and server.stdout.readline() == b"serving\n"
    return server


def _wait_for_labels(results: Path, infer: subprocess.Popen[bytes]) -> None:
    while not (results.exists() and results.read_text(encoding="utf-8").count("\n") > 1):
        if infer.poll() is not None:
            sys.exit("ssr-edge infer ended before its first label")
        time.sleep(0.1)


def _wait_with_memory(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Waits; returns the exit code and the peak resident memory in MB."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
