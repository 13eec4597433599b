"""MLServer, a third-party KServe v2 server, on loopback with the example in docs/mlserver."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "mlserver"
START_S = 60


def mlserver_program() -> Path:
    """MLServer in its own virtual environment, created by the first call."""
    if sys.version_info >= (3, 13):
        pytest.skip("MLServer 1.7 needs Python 3.12 or older")
    done = subprocess.run(
        [ROOT / "scripts" / "mlserver"],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"scripts/mlserver: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
    assert done.returncode == 0, done.stderr
    return ROOT / ".venv-mlserver" / "bin" / "mlserver"


class MlServer:
    """Serves a bundle as `breast`, version 1. Can be killed and restarted at the same address."""

    def __init__(self, folder: Path, bundle: Path, precision: str) -> None:
        self._program, self._folder = mlserver_program(), folder
        ports = free_ports(2)
        self.url = f"grpc://127.0.0.1:{ports[0]}/breast"
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
        settings = json.loads((folder / "settings.json").read_text())
        (folder / "settings.json").write_text(json.dumps(settings | {"grpc_port": ports[0], "http_port": ports[1]}))
        model = json.loads((folder / "model-settings.json").read_text())
        model["parameters"] |= {"uri": str(bundle), "extra": {"precision": precision}}
        (folder / "model-settings.json").write_text(json.dumps(model))
        self.start()

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        log = self._folder / "log.txt"
        # Only the packages of scripts/mlserver may be imported, in its order.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with log.open("w") as file:
            self._process = subprocess.Popen(
                [self._program, "start", self._folder], env=environment, stdout=file, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_S
        while "gRPC server running" not in (text := log.read_text()):
            assert self._process.poll() is None and time.monotonic() < deadline, text
            time.sleep(0.05)

    def kill(self) -> None:
        """Kills it with SIGKILL, without a shutdown."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports
