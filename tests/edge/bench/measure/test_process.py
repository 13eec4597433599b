from __future__ import annotations

import sys
import time

import pytest

from ssr_edge.bench.measure.process import WorkerError, WorkerProcess, Workers

# A worker whose engine writes to stdout in every way a library can.
_CHATTY = """
import os, sys
print("hello from a library, before the worker has its stdout", flush=True)
import numpy as np
from ssr_edge.bench.measure import worker
class Chatty:
    version, device, origin, max_batch, threads = "1", "here", "nowhere", 8, 1
    def infer(self, images):
        print("a line from Python"); os.write(1, b'{"a line": "from C"}\\n'); os.system("echo a line from a child")
worker.open_engine = lambda spec, single=False: Chatty()
worker._load_pool = lambda paths, size: np.zeros((size, 224, 224, 3), np.uint8)
worker.serve(sys.stdin, worker.claim_stdout())
"""
_LOAD = {"do": "load", "spec": {"runtime": "openvino", "precision": "fp32"}, "images": [], "pool": 8}


def _script(text: str, reply_limit_s: float = 60.0) -> WorkerProcess:
    return WorkerProcess((sys.executable, "-c", text), reply_limit_s)


def test_chatter_on_stdout_does_not_disturb_the_replies() -> None:
    worker = _script(_CHATTY)
    try:
        assert worker.ask(_LOAD)["device"] == "here"
        assert len(worker.ask({"do": "time", "images": 2, "batch": 2, "calls": 3})["ms"]) == 3
        assert worker.ask({"do": "memory"})["peak_rss_mb"] > 1
    finally:
        worker.close()


def test_a_crashed_worker_reports_its_signal_and_last_line() -> None:
    text = "import os, sys; sys.stdin.readline(); print('out of luck', file=sys.stderr, flush=True); os.abort()"
    with Workers() as workers:
        workers.running["unlucky"] = _script(text)
        assert workers.ask("unlucky", do="load") is None
        assert workers.ask("unlucky", do="time") is None
        assert workers.running == {}
        assert workers.failures == {"unlucky": "its process ended with Aborted: out of luck"}


def test_a_worker_that_hangs_is_given_up() -> None:
    started = time.monotonic()
    with Workers() as workers:
        workers.running["slow"] = _script("import time; time.sleep(600)", reply_limit_s=0.3)
        assert workers.ask("slow", do="load") is None
    assert list(workers.failures) == ["slow"]
    assert "'load'" in workers.failures["slow"] and "0.3 s" in workers.failures["slow"]
    assert time.monotonic() - started < 5


def test_an_engine_that_does_not_load_is_an_error_in_one_line() -> None:
    worker = WorkerProcess()
    try:
        spec = {"runtime": "openvino", "precision": "int8", "bundle": "/nowhere"}
        with pytest.raises(WorkerError, match=r"^[^\n]*/nowhere[^\n]*ssr-edge build-engine\)$"):
            worker.ask(_LOAD | {"spec": spec})
    finally:
        worker.close()


def test_a_foreign_error_names_its_kind() -> None:
    worker = _script(
        _CHATTY.replace("worker.serve(", "worker.open_engine = lambda spec, single=False: 1 / 0\nworker.serve(")
    )
    try:
        with pytest.raises(WorkerError, match=r"^ZeroDivisionError: division by zero$"):
            worker.ask(_LOAD)
    finally:
        worker.close()


def test_closing_ends_the_process() -> None:
    worker = WorkerProcess()
    worker.close()
    assert worker._process.poll() == 0
