"""Starts workers and communicates with them. A worker that crashes or hangs loses only its own rows."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from typing_extensions import Self

WORKER = (sys.executable, "-m", "ssr_edge.bench.measure.worker")
# Longer than any runtime needs to load or answer; a worker without a reply for this long is hung.
REPLY_LIMIT_S = 300.0
_EXIT_LIMIT_S = 5.0


class WorkerError(Exception):
    """A worker crashed, hung or replied with an error; the message is the reason."""


class WorkerProcess:
    """One worker process. `ask` sends a request and waits for the reply."""

    def __init__(self, command: Sequence[str] = WORKER, reply_limit_s: float = REPLY_LIMIT_S) -> None:
        self._reply_limit_s = reply_limit_s
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close())
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, text=True, encoding="utf-8"
        )
        # Read in a thread: not every system supports reading a pipe with a timeout.
        self._replies: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Sends a request and returns the reply.

        Raises:
            WorkerError: the worker crashed, did not reply in time, or replied with an error.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerError(self._exit_reason()) from None
        try:
            line = self._replies.get(timeout=self._reply_limit_s)
        except queue.Empty:
            self._process.kill()
            raise WorkerError(f"no reply to {request['do']!r} within {self._reply_limit_s:g} s") from None
        if line is None:
            raise WorkerError(self._exit_reason())
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def close(self) -> None:
        """Ends the process; kills it if it does not exit by itself."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(_EXIT_LIMIT_S)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # Libraries may print before the worker redirects its stdout.
            if line.startswith("{"):
                self._replies.put(line)
        self._replies.put(None)

    def _exit_reason(self) -> str:
        """How the process ended, with the last line of its stderr."""
        try:
            code = self._process.wait(_EXIT_LIMIT_S)
        except subprocess.TimeoutExpired:
            return "its process is running but closed its pipes"
        how = f"exit code {code}" if code >= 0 else signal.strsignal(-code)
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()]
        return f"its process ended with {how}" + (f": {lines[-1]}" if lines else "")


class Workers:
    """Running workers by engine. A worker that fails is closed and its reason recorded in `failures`."""

    def __init__(self) -> None:
        self.running: dict[str, WorkerProcess] = {}
        self.failures: dict[str, str] = {}

    def ask(self, engine: str, **request: Any) -> dict[str, Any] | None:
        """The engine's reply; None if it fails or has failed before."""
        worker = self.running.get(engine)
        if worker is None:
            return None
        try:
            return worker.ask(request)
        except WorkerError as error:
            self.failures[engine] = str(error)
            self.running.pop(engine).close()
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.running.values():
            worker.close()
