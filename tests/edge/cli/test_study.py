"""A real grid, tiny: killed in the middle, gone on with, and its tables."""

from __future__ import annotations

import csv
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

from ssr_train.checkpoint import load_checkpoint
from ssr_train.study.predictions import Predictions, predict_test

Run = Callable[..., Any]

NAMES = [f"ssresnext14_8x4d-{recipe}-image-100x-seed{seed}" for seed in (0, 1) for recipe in ("paper", "modern")]
GRID = ("--arch", "ssresnext14_8x4d", "--recipe", "paper", "--recipe", "modern", "--seeds", "2", "--epochs", "1")
COMMAND = (sys.executable, "-c", "from ssr_edge.cli.main import run; run()", "study")


def stamps(folder: Path, name: str) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "runs" / name).iterdir()}


@pytest.fixture(scope="module")
def study_process(breakhis_tree: Path) -> Callable[..., subprocess.Popen[str]]:
    def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
        command = [*COMMAND, "--data", str(breakhis_tree), *GRID, *arguments, "--device", "cpu", "-o", str(folder)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


@pytest.fixture(scope="module")
def killed(study_process: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study killed outright while its second run was training."""
    folder = tmp_path_factory.mktemp("studies") / "tiny"
    process = study_process(folder)
    deadline = time.monotonic() + 120
    while not (folder / "runs" / NAMES[1] / "split.csv").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return folder


@pytest.fixture(scope="module")
def finished(killed: Path, study_process: Callable[..., Any]) -> tuple[Path, dict[str, int], str]:
    """The same study after the same command again; the files of its first run as the kill left them; what it said."""
    before = stamps(killed, NAMES[0])
    process = study_process(killed)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return killed, before, out


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_a_killed_study_takes_its_run_with_it(killed: Path) -> None:
    training = killed / "runs" / NAMES[1]
    # Its process ends by itself as soon as the study is gone; were it still there, it would finish in a few seconds.
    time.sleep(4)
    assert not (training / "checkpoint.safetensors").exists()
    assert json.loads((killed / "study.json").read_text())["seeds"] == 2


def test_the_same_command_does_what_is_left_and_nothing_again(finished: tuple[Path, dict[str, int], str]) -> None:
    folder, before, out = finished
    assert stamps(folder, NAMES[0]) == before
    assert sorted(path.name for path in (folder / "runs").iterdir()) == sorted(NAMES)
    assert out.startswith(f"4 runs in {folder}\n") and f"4 of 4 runs -> {folder}/report.md" in out
    assert "**On 82 of BreaKHis's 7,909 images (100X 82 of 2,081): not comparable with the paper's figures.**" in out


def test_a_killed_run_ends_as_ssr_edge_train_would(
    finished: tuple[Path, dict[str, int], str], ssr_edge: Run, breakhis_tree: Path, tmp_path: Path
) -> None:
    folder, _, _ = finished
    plain = tmp_path / "plain"
    options = ("--arch", "ssresnext14_8x4d", "--recipe", "modern", "--epochs", "1", "--seed", "0", "--device", "cpu")
    answer = ssr_edge("train", "--data", breakhis_tree, "--magnification", "100", *options, "--run", plain)
    assert answer.code == 0, answer.err
    (ours, card), (alone, plain_card) = (
        load_checkpoint(run / "checkpoint.safetensors") for run in (folder / "runs" / NAMES[1], plain)
    )
    assert card == plain_card
    assert all(torch.equal(tensor, alone.state_dict()[name]) for name, tensor in ours.state_dict().items())
    kept = Predictions.read(folder / "runs" / NAMES[1] / "predictions.csv")
    expected = predict_test(plain / "checkpoint.safetensors", "cpu")
    assert kept.names == expected.names
    assert kept.probabilities.tobytes() == expected.probabilities.tobytes()


def test_models_are_paired_on_the_same_splits(finished: tuple[Path, dict[str, int], str]) -> None:
    folder, _, _ = finished
    splits = [(folder / "runs" / name / "split.csv").read_bytes() for name in NAMES]
    assert splits[0] == splits[1] != splits[2] == splits[3]
    with (folder / "tables" / "splits.csv").open() as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["0", "1"]
    with (folder / "tables" / "comparisons-image.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["seeds"] == "2"
    accuracies = [
        load_checkpoint(folder / "runs" / name / "checkpoint.safetensors")[1].metrics["test"] for name in NAMES
    ]
    difference = sum(sign * figures["accuracy"] for sign, figures in zip((1, -1, 1, -1), accuracies, strict=True)) / 2
    assert float(row["difference"]) == pytest.approx(difference)


def test_the_report_ties_everything_together(finished: tuple[Path, dict[str, int], str], breakhis_tree: Path) -> None:
    folder, _, _ = finished
    text = (folder / "report.md").read_text()
    assert "Decision support for research, not a medical device." in text
    assert f"ssr-edge study --data {breakhis_tree.resolve()} --arch ssresnext14_8x4d --recipe paper" in text
    for name in ("Table 2", "Table 3", "Table 4", "Comparisons", "By image and by patient", "Splits", "Environment"):
        assert f"## {name}" in text
    for link in [part.split(")")[0] for part in text.split("](")[1:]]:
        assert (folder / link).stat().st_size > 5_000


def test_tables_alone_other_options_and_a_run_that_fails(
    finished: tuple[Path, dict[str, int], str], ssr_edge: Run, breakhis_tree: Path
) -> None:
    folder, _, out = finished
    answer = ssr_edge("study", "--tables-only", "-o", folder)
    assert (answer.code, answer.out) == (0, out.partition("\n")[2])

    answer = ssr_edge("study", "--data", breakhis_tree, *GRID[:-1], "2", "-o", folder)
    assert answer.code == 2
    assert "holds a study with other options: its recipe paper has 1 epochs" in answer.err

    broken = folder / "runs" / NAMES[2]
    for name in ("checkpoint.safetensors", "predictions.csv"):
        (broken / name).unlink()
    (broken / "state.safetensors").write_bytes(b"damaged")
    answer = ssr_edge("study", "--data", breakhis_tree, *GRID, "--jobs", "2", "--device", "cpu", "-o", folder)
    assert answer.code == 3
    assert "3 of 4 runs ->" in answer.out and "[1 of 2 seeds]" in answer.out
    assert f"  {NAMES[2]}: {broken}/state.safetensors is damaged:" in answer.err
    assert f"- `runs/{NAMES[2]}`: " in (folder / "report.md").read_text()

    (broken / "state.safetensors").unlink()
    answer = ssr_edge("study", "--data", breakhis_tree, *GRID, "--device", "cpu", "-o", folder)
    assert (answer.code, answer.out) == (0, out)


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        ((), 2, "no images were named"),
        (("--data", "nowhere"), 1, "nowhere is not a folder"),
        (("--data", "TREE", "--arch", "resnet51"), 2, "architecture 'resnet51' is not known"),
        (("--data", "TREE", "--recipe", "fast"), 2, "recipe 'fast' is not known"),
        (("--data", "TREE", "--split", "slide"), 2, "split 'slide' is not known"),
        (("--data", "TREE", "--magnification", "40"), 1, "has no image of 40X"),
        (("--data", "TREE", "--device", "quantum"), 1, "device 'quantum' can't be used"),
        (("--tables-only",), 2, "study holds no study"),
    ],
)
def test_errors_come_before_the_first_run(
    ssr_edge: Run,
    breakhis_tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    found: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = ssr_edge("study", *(breakhis_tree if argument == "TREE" else argument for argument in arguments))
    assert answer.code == code
    lines = answer.err.splitlines()
    assert lines[0].startswith("ssr-edge: ") and found in lines[0]
    assert lines[1].startswith("  expected: ") and lines[2].startswith("  next: ")
    assert not Path("study").exists()
