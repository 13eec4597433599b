"""The grid with a fast stand-in for training: which runs are started, which are skipped, and what a failure leaves."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from ssr_edge.common.errors import UsageError
from ssr_train.study import grid
from ssr_train.study.grid import train_grid
from ssr_train.study.outcomes import gather
from ssr_train.study.plan import StudyPlan
from ssr_train.training.run_file import write_options
from tests.train.study.made_up import plan

pytestmark = pytest.mark.slow

# Replaces `ssr-edge train --run RUN --resume --device cpu`; records that it was called.
STAND_IN = """
import os, shutil, sys
run = sys.argv[sys.argv.index("--run") + 1]
with open("CALLS", "a") as calls:
    calls.write(run + "\\n")
"""
TRAINS = STAND_IN + 'shutil.copy("CHECKPOINT", run); shutil.copy("SPLIT", run + "/split.csv")\n'


class Worker:
    """Replaces training by another program."""

    def __init__(self, folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from ssr_train.training.checkpoint import load_checkpoint

        self._calls, self._checkpoint, self._split = folder / "calls", checkpoint, folder / "split.csv"
        load_checkpoint(checkpoint)[1].to_split().write(self._split)
        self._monkeypatch = monkeypatch

    def does(self, program: str) -> None:
        for word, path in (("CALLS", self._calls), ("CHECKPOINT", self._checkpoint), ("SPLIT", self._split)):
            program = program.replace(word, str(path))
        self._monkeypatch.setattr(grid, "WORKER", (sys.executable, "-c", program))

    def calls(self) -> list[str]:
        """Names of the runs that were started since the last call."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        self._calls.unlink(missing_ok=True)
        return [Path(line).name for line in lines]


@pytest.fixture
def worker(tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(tmp_path, tiny_checkpoint, monkeypatch)


@pytest.fixture
def made(breakhis_tree: Path) -> StudyPlan:
    return plan("ssresnext14_8x4d", images={100: 82}, seeds=3).model_copy(update={"data": str(breakhis_tree)})


NAMES = [f"ssresnext14_8x4d-paper-image-100x-seed{seed}" for seed in range(3)]


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_every_run_is_trained_once_and_evaluated(worker: Worker, made: StudyPlan, tmp_path: Path, jobs: int) -> None:
    worker.does(TRAINS)
    train_grid(made, tmp_path, jobs, "cpu")
    assert sorted(worker.calls()) == NAMES
    found = gather(made, tmp_path)
    assert (found.done, found.failures) == (3, {})
    train_grid(made, tmp_path, jobs, "cpu")
    assert worker.calls() == []


def test_a_run_without_predictions_is_evaluated_and_not_trained_again(
    worker: Worker, made: StudyPlan, tmp_path: Path
) -> None:
    worker.does(TRAINS)
    train_grid(made, tmp_path, 1, "cpu")
    worker.calls()
    predictions = tmp_path / "runs" / NAMES[1] / "predictions.csv"
    before = predictions.read_bytes()
    predictions.unlink()
    train_grid(made, tmp_path, 1, "cpu")
    assert worker.calls() == []
    assert predictions.read_bytes() == before


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("sys.exit('ssr-edge: the loss became nan\\n  expected: a number\\n  next: another')", "the loss became nan"),
        ("print('epoch 1'); raise MemoryError('out of memory')", "MemoryError: out of memory"),
        ("os.kill(os.getpid(), 9)", "Killed"),
        ("os._exit(7)", "exit code 7"),
        ("sys.exit(0)", "exit code 0"),
    ],
)
def test_a_failed_run_does_not_stop_the_others_and_is_retried(
    worker: Worker, made: StudyPlan, tmp_path: Path, end: str, reason: str
) -> None:
    second = f"if run.endswith('seed1'):\n    {end}\n"
    worker.does(STAND_IN + second + TRAINS)
    train_grid(made, tmp_path, 1, "cpu")
    found = gather(made, tmp_path)
    assert (found.done, list(found.failures)) == (2, [NAMES[1]])
    assert found.failures[NAMES[1]].endswith(reason)
    worker.calls()
    worker.does(TRAINS)
    train_grid(made, tmp_path, 1, "cpu")
    assert worker.calls() == [NAMES[1]]
    assert gather(made, tmp_path).failures == {}


def test_a_folder_with_another_run_and_a_damaged_checkpoint_are_failures(
    worker: Worker, made: StudyPlan, tmp_path: Path
) -> None:
    other = made.model_copy(update={"recipes": plan("resnet50", recipes=("modern",)).recipes})
    options = made.options(made.runs()[0], tmp_path, "cpu")
    write_options(type(options)(**(vars(options) | {"recipe": other.recipes[0]})))
    worker.does(TRAINS + "if run.endswith('seed2'): open(run + '/checkpoint.safetensors', 'w').close()\n")
    train_grid(made, tmp_path, 1, "cpu")
    found = gather(made, tmp_path)
    assert found.done == 1
    assert f"{tmp_path}/runs/{NAMES[0]}" in found.failures[NAMES[0]] and "options" in found.failures[NAMES[0]]
    assert "checkpoint.safetensors" in found.failures[NAMES[2]]


def test_runs_without_their_images_are_failures(worker: Worker, made: StudyPlan, tmp_path: Path) -> None:
    tree = tmp_path / "empty"
    tree.mkdir()
    copy = tmp_path / "moved.safetensors"
    from ssr_train.training.checkpoint import load_checkpoint, save_checkpoint

    network, card = load_checkpoint(worker._checkpoint)
    save_checkpoint(copy, network, card.model_copy(update={"data": str(tree)}))
    worker.does(TRAINS.replace("CHECKPOINT", str(copy)).replace('", run);', '", run + "/checkpoint.safetensors");', 1))
    train_grid(made, tmp_path, 1, "cpu")
    failures = gather(made, tmp_path).failures
    assert list(failures) == NAMES
    assert all("100X" in reason and str(tree) in reason for reason in failures.values())


def test_two_studies_do_not_share_a_folder(worker: Worker, made: StudyPlan, tmp_path: Path) -> None:
    worker.does(TRAINS)
    with FileLock(tmp_path / ".lock"), pytest.raises(UsageError) as raised:
        train_grid(made, tmp_path, 1, "cpu")
    assert str(tmp_path) in raised.value.found
    assert worker.calls() == []
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)


def test_a_stopped_study_ends_its_runs(worker: Worker, made: StudyPlan, tmp_path: Path) -> None:
    worker.does(STAND_IN + "import time; time.sleep(60)\n")
    started: list[object] = []

    def interrupt(seconds: float) -> None:
        started.append(seconds)
        if len(started) > 1:
            raise KeyboardInterrupt

    worker._monkeypatch.setattr("time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_grid(made, tmp_path, 2, "cpu")
    with FileLock(tmp_path / ".lock", timeout=0):
        assert gather(made, tmp_path).done == 0
