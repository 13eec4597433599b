"""Two torchrun processes, on a CPU with gloo, have the same losses and checkpoint as one; only one of them writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ssr_edge.common.errors import UsageError
from ssr_train.models.arch import ssresnext14_8x4d
from ssr_train.models.network import SSResNeXt
from ssr_train.training.batch_norm import with_global_batch_norm
from ssr_train.training.checkpoint import load_checkpoint
from ssr_train.training.loop import TrainOptions, train
from ssr_train.training.processes import Processes, check_batch
from ssr_train.training.recipe import load_recipe
from ssr_train.training.run_file import read_options, write_options
from ssr_train.training.state import save_state

RECIPE = """
epochs = 2
batch_size = 16
accumulate = ACCUMULATE
optimizer = "adamw"
learning_rate = 0.002
schedule = "cosine"
warmup_epochs = 1
ema_decay = 0.5
image_sizes = [64]
[augment]
crop_scale = 0.4
right_angle_rotations = true
horizontal_flip = true
color_jitter = 0.25
stain = 0.05
"""
# In FP32: on CPUs with bfloat16, its rounding depends on how a batch is divided.
COMMAND = """
from ssr_train.training import loop
loop.autocast_dtype = lambda device: None
from ssr_edge.cli.main import run
run()
"""

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.name != "posix", reason="gloo and torchrun"),
]


def torchrun(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    script = folder / "ssr_edge_command.py"
    script.write_text(COMMAND)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--"]
    return subprocess.run(
        [*launcher, str(script), *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def losses(run: Path) -> list[float]:
    return [json.loads(line)["train_loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def options(run: Path, data: Path, accumulate: int) -> TrainOptions:
    recipe = run.with_suffix(".toml")
    recipe.write_text(RECIPE.replace("ACCUMULATE", str(accumulate)))
    arch = ssresnext14_8x4d()
    return TrainOptions(run, data, arch, load_recipe(str(recipe)), 100, "image", 0, "cpu")


@pytest.fixture
def fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns off autocast, as COMMAND does."""
    monkeypatch.setattr("ssr_train.training.loop.autocast_dtype", lambda device: None)


@pytest.mark.usefixtures("fp32")
def test_two_processes_compute_the_same_as_one(breakhis_tree: Path, tmp_path: Path) -> None:
    alone, together = options(tmp_path / "alone", breakhis_tree, 1), options(tmp_path / "together", breakhis_tree, 1)
    train(alone, False, lambda line: None)
    arguments = ("--data", breakhis_tree, "--arch", "ssresnext14_8x4d", "--magnification", "100", "--device", "cpu")
    recipe = tmp_path / "together.toml"
    done = torchrun(tmp_path, "train", *arguments, "--recipe", recipe, "--run", together.run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("train images") == done.stdout.count("wrote ") == 1
    assert losses(together.run) == pytest.approx(losses(alone.run), abs=1e-5)
    assert sorted(path.name for path in together.run.iterdir()) == sorted(
        ["run.json", *(path.name for path in alone.run.iterdir())]
    )
    expected, found = (load_checkpoint(o.run / "checkpoint.safetensors") for o in (alone, together))
    assert found[1].split == expected[1].split
    assert list(found[0].state_dict()) == list(expected[0].state_dict())
    # Not compared by weight: Adam makes a full step even for a gradient near zero, whose sign depends on rounding.
    images = torch.randn(4, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(found[0](images), expected[0](images), rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("fp32")
def test_a_run_of_one_process_is_resumed_by_two_in_micro_batches(
    breakhis_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, half = options(tmp_path / "whole", breakhis_tree, 2), options(tmp_path / "half", breakhis_tree, 2)

    def save_and_copy(run: Path, epoch: int, *state: Any) -> None:
        save_state(run, epoch, *state)
        if epoch == 1:
            shutil.copytree(run, half.run)

    monkeypatch.setattr("ssr_train.training.loop.save_state", save_and_copy)
    train(whole, False, lambda line: None)
    write_options(half)
    assert len(losses(half.run)) == 1 and read_options(half.run, "cpu") == half
    done = torchrun(tmp_path, "train", "--run", half.run, "--resume", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert losses(half.run) == pytest.approx(losses(whole.run), abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--data", "."), "2 processes without --run"),
        (("--qat", "checkpoint.safetensors", "--run", "run"), "--qat with 2 processes"),
    ],
)
def test_wrong_options_are_refused_before_the_processes_wait_for_each_other(
    ssr_edge: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], found: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    answer = ssr_edge("train", *arguments)
    assert answer.code == 2
    assert found in answer.err and "Traceback" not in answer.err


def test_shares_make_up_the_whole_batch_in_order() -> None:
    rows = slice(8, 20)
    shares = [Processes(rank, 3).share(rows) for rank in range(3)]
    assert [list(range(share.start, share.stop)) for share in shares] == [
        [8, 9, 10, 11],
        [12, 13, 14, 15],
        [16, 17, 18, 19],
    ]
    assert Processes().share(rows) == rows


@pytest.mark.parametrize(("images", "processes", "accumulate"), [(16, 3, 1), (16, 2, 5), (8, 1, 8), (15, 1, 2)])
def test_a_batch_that_cannot_be_divided_is_refused(images: int, processes: int, accumulate: int) -> None:
    with pytest.raises(UsageError) as raised:
        check_batch(images, Processes(0, processes), accumulate)
    assert f"{images} images for {processes} processes" in raised.value.found


def test_batch_norms_are_replaced_and_their_names_and_values_stay() -> None:
    torch.manual_seed(0)
    network = SSResNeXt(ssresnext14_8x4d())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with_global_batch_norm(network, torch.device("cpu"))
    assert not any(type(module) is nn.BatchNorm2d for module in network.modules())
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    plain = SSResNeXt(ssresnext14_8x4d())
    plain.load_state_dict(before)
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(network.eval()(images), plain.eval()(images))
