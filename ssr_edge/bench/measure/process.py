"""Starts the workers and talks to them, so that one that dies or hangs costs its own row and nothing else."""

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
# Longer than any runtime takes to load or to answer; a worker silent for so long hangs.
SILENCE_S = 300.0
_GOODBYE_S = 5.0


class WorkerError(Exception):
    """A worker that died, hung or answered with an error; its text is the reason."""


class WorkerProcess:
    """One worker. `ask` sends a request and waits for its answer."""

    def __init__(self, command: Sequence[str] = WORKER, silence_s: float = SILENCE_S) -> None:
        self._silence_s = silence_s
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close())
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, text=True, encoding="utf-8"
        )
        # Read in a thread: waiting on a pipe with a time limit is not possible on every system otherwise.
        self._replies: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            WorkerError: the worker died, answers nothing, or answers with an error.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerError(self._final_statistics()) from None
        try:
            line = self._replies.get(timeout=self._silence_s)
        except queue.Empty:
            self._process.kill()
            raise WorkerError(f"no answer to {request['do']!r} for {self._silence_s:g} s") from None
        if line is None:
            raise WorkerError(self._final_statistics())
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def close(self) -> None:
        """Ends the process, by force if it does not go by itself."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(_GOODBYE_S)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # Whatever a library printed before the worker claimed its stdout is no reply.
            if line.startswith("{"):
                self._replies.put(line)
        self._replies.put(None)

    def _final_statistics(self) -> str:
        try:
            code = self._process.wait(_GOODBYE_S)
        except subprocess.TimeoutExpired:
            return "its process lives, but closed its pipes"
        how = f"exit code {code}" if code >= 0 else signal.strsignal(-code)
        self._stderr.seek(0)
        said = [line.strip() for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()]
        return f"its process ended with {how}" + (f": {said[-1]}" if said else "")


class Workers:
    """The workers that still run, by engine. One that fails is closed and moves to `failures` with its reason."""

    def __init__(self) -> None:
        self.running: dict[str, WorkerProcess] = {}
        self.failures: dict[str, str] = {}

    def ask(self, engine: str, **request: Any) -> dict[str, Any] | None:
        """The engine's answer, or None if it fails or has failed before."""
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
