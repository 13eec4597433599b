from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ssr_edge.demo import DEMO_CHECKPOINT
from ssr_train.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

Run = Callable[..., Any]

TINY = ("--arch", "ssresnext14_8x4d", "--magnification", "100", "--device", "cpu")


# All random augmentations, and averaged weights, on small images: an epoch takes a second or two.
SMALL = """
epochs = 4
batch_size = 8
optimizer = "adamw"
learning_rate = 0.002
schedule = "cosine"
ema_decay = 0.8
image_sizes = [64]
sampling = "balanced"
[augment]
crop_scale = 0.4
right_angle_rotations = true
horizontal_flip = true
color_jitter = 0.25
stain = 0.05
"""


def rows(run: Path) -> list[dict[str, float]]:
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def epochs(run: Path) -> list[float]:
    return [row["epoch"] for row in rows(run)]


def test_a_run_from_images_to_checkpoint_and_resumed_when_it_is_done(
    ssr_edge: Run, ssr_edge_process: Run, breakhis_tree: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    answer = ssr_edge_process("train", "--data", breakhis_tree, *TINY, "--epochs", "1", "--run", run, cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert "dropped 2 images" in answer.out
    assert f"55 train images, 10 val images, on cpu, in {run}" in answer.out
    assert answer.out.endswith(f"wrote {run}/checkpoint.safetensors\nnext: ssr-edge build-engine\n")
    network, card = load_checkpoint(run / "checkpoint.safetensors")
    assert (card.arch["name"], card.epochs, card.recipe["name"], card.seed) == ("ssresnext14_8x4d", 1, "paper", 0)
    assert f"test: macro-F1 {card.metrics['test']['macro_f1']:.3f}" in answer.out
    assert epochs(run) == [1]

    answer = ssr_edge("train", "--run", run, "--resume")
    assert answer.code == 0, answer.err
    assert epochs(run) == [1]
    again, _ = load_checkpoint(run / "checkpoint.safetensors")
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in network.state_dict().items())

    answer = ssr_edge("train", "--data", breakhis_tree, "--run", run)
    assert answer.code == 2
    assert str(run) in answer.err and f"next: ssr-edge train --run {run} --resume" in answer.err


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_resume_finishes_the_newest_killed_run_with_the_result_of_an_unbroken_one(
    ssr_edge_process: Run, breakhis_tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    one_thread = {"OMP_NUM_THREADS": "1"}
    arguments = ["train", "--data", str(breakhis_tree), *TINY, "--recipe", "small.toml"]
    answer = ssr_edge_process(*arguments, "--run", "unbroken", cwd=tmp_path, env=one_thread)
    assert answer.code == 0, answer.err

    # An older unfinished run, which --resume must not choose.
    older = tmp_path / "runs" / "older"
    older.mkdir(parents=True)
    (older / "run.json").write_text("{}")
    os.utime(older / "run.json", (0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", "from ssr_edge.cli.main import run; run()", *arguments],
        cwd=tmp_path,
        env=os.environ | one_thread,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not any(len(epochs(run)) >= 2 for run in older.parent.glob("ssresnext14*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    (killed,) = older.parent.glob("ssresnext14*")
    assert len(epochs(killed)) < 4
    assert not (killed / "checkpoint.safetensors").exists()

    answer = ssr_edge_process("train", "--resume", cwd=tmp_path, env=one_thread)
    assert answer.code == 0, answer.err
    expected, found = rows(tmp_path / "unbroken"), rows(killed)
    assert [row | {"seconds": 0} for row in found] == [row | {"seconds": 0} for row in expected]
    assert load_checkpoint(killed / "checkpoint.safetensors")[1].epochs == 4
    networks = [load_checkpoint(run / "checkpoint.safetensors")[0] for run in (tmp_path / "unbroken", killed)]
    weights = [network.state_dict() for network in networks]
    assert [name for name, tensor in weights[0].items() if not torch.equal(tensor, weights[1][name])] == []


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        ((), 2, "--data"),
        (("--data", "nowhere"), 1, "nowhere"),
        (("--data", "."), 1, "no BreaKHis image"),
        (("--data", ".", "--arch", "resnet51"), 2, "'resnet51'"),
        (("--data", ".", "--arch", "resnet50/shared"), 2, "resnet50 has no parallel kernels"),
        (("--data", ".", "--recipe", "fast"), 2, "'fast'"),
        (("--data", ".", "--recipe", "bad.toml"), 2, "bad.toml: epochs: Field required"),
        (("--data", ".", "--device", "quantum"), 1, "'quantum'"),
        (("--data", "TREE", "--magnification", "40"), 1, "40X"),
        (("--resume",), 2, "unfinished run"),
        (("--resume", "--run", "nowhere"), 2, "nowhere"),
    ],
)
def test_errors_have_found_expected_and_next(
    ssr_edge: Run,
    breakhis_tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    found: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text("batch_size = 8\n")
    answer = ssr_edge("train", *(breakhis_tree if argument == "TREE" else argument for argument in arguments))
    assert answer.code == code
    lines = answer.err.splitlines()
    assert lines[0].startswith("ssr-edge: ") and found in lines[0]
    assert lines[1].startswith("  expected: ") and lines[2].startswith("  next: ")
    assert "Traceback" not in answer.err


def test_a_checkpoint_is_fine_tuned_with_quantization_and_resumed(
    ssr_edge: Run, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = ssr_edge("train", "--qat", tiny_checkpoint, "--epochs", "1", "--device", "cpu")
    assert answer.code == 0, answer.err
    assert "55 training images" in answer.out
    (run,) = Path("runs").glob("ssresnext14*")
    assert run.name.startswith("ssresnext14_8x4d-qat-")
    card = load_checkpoint(run / "checkpoint.safetensors")[1]
    assert (card.folded, card.recipe["name"], card.epochs) == (True, "qat", 1)
    assert f"test: macro-F1 {card.metrics['test']['macro_f1']:.3f}" in answer.out

    (run / "checkpoint.safetensors").unlink()
    answer = ssr_edge("train", "--resume")
    assert answer.code == 0, answer.err
    assert epochs(run) == [1]
    assert load_checkpoint(run / "checkpoint.safetensors")[1] == card

    answer = ssr_edge("evaluate", run, "--json", "-")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["macro_f1"] == card.metrics["test"]["macro_f1"]


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (("--qat", "CHECKPOINT", "--arch", "resnet50"), 2, "--arch together with --qat"),
        (("--qat", "CHECKPOINT", "--split", "image"), 2, "--split together with --qat"),
        (("--qat", "CHECKPOINT", "--magnification", "100"), 2, "--magnification together with --qat"),
        (("--qat", "CHECKPOINT", "--resume"), 2, "--resume together with --qat"),
        (("--qat", "CHECKPOINT", "--data", "nowhere"), 2, "nowhere is not a folder"),
        (("--qat", str(DEMO_CHECKPOINT)), 2, "CC BY 4.0 is not a folder"),
        (("--qat", "missing"), 2, "missing"),
    ],
)
def test_options_that_a_fine_tuning_run_does_not_accept_are_refused(
    ssr_edge: Run,
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    found: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = ssr_edge("train", *(tiny_checkpoint if argument == "CHECKPOINT" else argument for argument in arguments))
    assert answer.code == code
    assert found in answer.err and "Traceback" not in answer.err
    assert not Path("runs").exists(), "--resume must not find a run that could not start"


def test_zero_epochs_are_refused(ssr_edge: Run, breakhis_tree: Path, tmp_path: Path) -> None:
    answer = ssr_edge("train", "--data", breakhis_tree, *TINY, "--epochs", "0", "--run", tmp_path / "run")
    assert answer.code == 2
    assert not (tmp_path / "run").exists()
