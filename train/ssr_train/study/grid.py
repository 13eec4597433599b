"""Trains the missing runs of a study, each in its own process, several at a time; a failed run stops no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ssr_edge.common.errors import SsrEdgeError, UsageError
from ssr_edge.common.files import replacing
from ssr_edge.common.progress import progress
from ssr_edge.machine.environment import usable_cores
from ssr_train.study.plan import RunSpec, StudyPlan
from ssr_train.study.predictions import PREDICTIONS, predict_test
from ssr_train.training.loop import TrainOptions
from ssr_train.training.run_file import RUN, read_options, write_options

WORKER = (sys.executable, "-m", "ssr_train.study.worker")
CHECKPOINT, LOG, FAILURE = "checkpoint.safetensors", "log.txt", "failure.txt"
# Decoded images, shared by all runs.
_CACHE = ".cache"
_POLL_S = 0.1


@dataclass(frozen=True)
class _Training:
    """A run in progress."""

    run: RunSpec
    options: TrainOptions
    process: subprocess.Popen[bytes]


def train_grid(plan: StudyPlan, folder: Path, jobs: int, device: str) -> None:
    """Trains and evaluates every run that is not done, `jobs` at a time. Finished runs are not repeated.

    The reason of a failure is written to failure.txt in the folder of the run; the next call retries the run. Only the
    folders of runs are written.

    Raises:
        UsageError: another study is running in this folder.
    """
    with _alone(folder), progress("training, run", len(plan.runs())) as advance:
        waiting = deque(plan.runs())
        active: list[_Training] = []
        try:
            while waiting or active:
                while waiting and len(active) < jobs:
                    run = waiting.popleft()
                    training = _begin(run, plan.options(run, folder, device), jobs, folder / _CACHE)
                    if training is None:
                        advance(1, run.name)
                    else:
                        active.append(training)
                for training in [one for one in active if one.process.poll() is not None]:
                    active.remove(training)
                    _end(training)
                    advance(1, training.run.name)
                time.sleep(_POLL_S if active else 0)
        finally:
            for training in active:
                training.process.kill()
                training.process.wait()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):  # released by the operating system when the process ends
            yield
    except Timeout:
        raise UsageError(
            f"another ssr-edge study is running in {folder}",
            expected="only one study per folder at a time",
            next_step=f"ssr-edge study --tables-only -o {folder}  (tables of the finished runs)",
        ) from None


def _begin(run: RunSpec, options: TrainOptions, jobs: int, cache: Path) -> _Training | None:
    """Starts the process of a run. Returns None if it needs none: it is already trained, or can't be trained."""
    folder = options.run
    try:
        if not (folder / RUN).exists():
            write_options(options)
        elif read_options(folder, options.device) != options:
            raise UsageError(
                f"{folder} contains a run with other options",
                expected="the options in study.json",
                next_step=f"rm -r {folder}, then the same ssr-edge study command",
            )
    except SsrEdgeError as error:
        _note_failure(folder, error.found)
        return None
    if (folder / CHECKPOINT).exists():
        _evaluate(options)
        return None
    (folder / FAILURE).unlink(missing_ok=True)
    environment = dict(os.environ)
    if jobs > 1:  # more threads than cores make all runs slower
        environment.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // jobs)))
    # --resume also starts a run without state; its options are in run.json.
    command = [*WORKER, "train", "--run", str(folder), "--resume", "--device", options.device, "--cache", str(cache)]
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
    return _Training(run, options, process)


def _end(training: _Training) -> None:
    folder = training.options.run
    assert training.process.stdin is not None
    training.process.stdin.close()
    code = training.process.returncode
    if code == 0 and (folder / CHECKPOINT).exists():
        _evaluate(training.options)
    else:
        _note_failure(folder, _reason(folder / LOG, code))


def _evaluate(options: TrainOptions) -> None:
    """Writes the predictions of a trained run, unless they exist."""
    if (options.run / PREDICTIONS).exists():
        return
    try:
        predict_test(options.run / CHECKPOINT, options.device).write(options.run / PREDICTIONS)
    except SsrEdgeError as error:
        _note_failure(options.run, error.found)
    else:
        (options.run / FAILURE).unlink(missing_ok=True)


def _note_failure(folder: Path, reason: str) -> None:
    with replacing(folder / FAILURE) as temporary:
        temporary.write_text(reason + "\n", encoding="utf-8")


def _reason(log: Path, code: int) -> str:
    """Why a process ended: its signal, or the end of its log."""
    if code < 0:
        return f"its process was ended: {signal.strsignal(-code)}"
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    # An SsrEdgeError is printed as three lines, of which the first is the problem.
    found = [line.removeprefix("ssr-edge: ") for line in lines[-3:] if line.startswith("ssr-edge: ")]
    return (found or lines[-1:] or [f"its process ended with exit code {code}"])[-1]
