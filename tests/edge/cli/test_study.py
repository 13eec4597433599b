"""A tiny but real grid: killed, resumed, and its tables."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from ssr_edge.cli.main import app
from ssr_train.study.predictions import Predictions, predict_test
from ssr_train.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

Run = Callable[..., Any]

NAMES = ("ssresnext14_8x4d-paper-image-100x-seed0", "ssresnext14_8x4d-modern-image-100x-seed0")
GRID = ("--arch", "ssresnext14_8x4d", "--recipe", "paper", "--recipe", "modern", "--seeds", "1", "--epochs", "1")
CAVEAT = "82 of BreaKHis's 7,909 images (100X 82 of 2,081)"


def stamps(run: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in run.iterdir()}


def alive(word: str) -> list[str]:
    """Command lines of the running processes that contain a word."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if word in line]


@pytest.fixture(scope="module")
def killed(breakhis_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study killed by SIGKILL while its second run was training."""
    folder = tmp_path_factory.mktemp("studies") / "tiny"
    program = [sys.executable, "-c", "from ssr_edge.cli.main import run; run()", "study", "--data", str(breakhis_tree)]
    process = subprocess.Popen([*program, *GRID, "--device", "cpu", "-o", str(folder)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (folder / "runs" / NAMES[1] / "split.csv").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return folder


@pytest.fixture(scope="module")
def finished(killed: Path, breakhis_tree: Path) -> tuple[Path, dict[str, int], str]:
    """The study, resumed by the same command; the files of its first run after the kill; the output of the command."""
    before = stamps(killed / "runs" / NAMES[0])
    answer = CliRunner().invoke(
        app, ["study", "--data", str(breakhis_tree), *GRID, "--device", "cpu", "-o", str(killed)]
    )
    assert answer.exit_code == 0, answer.output
    return killed, before, answer.stdout


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads /proc, which only Linux has")
def test_the_runs_of_a_killed_study_end(killed: Path) -> None:
    deadline = time.monotonic() + 10
    while alive(str(killed)):
        assert time.monotonic() < deadline, alive(str(killed))
        time.sleep(0.02)
    assert not (killed / "runs" / NAMES[1] / "checkpoint.safetensors").exists()


def test_the_same_command_finishes_the_study_and_repeats_nothing(finished: tuple[Path, dict[str, int], str]) -> None:
    folder, before, out = finished
    assert "predictions.csv" in before and stamps(folder / "runs" / NAMES[0]) == before
    assert sorted(path.name for path in (folder / "runs").iterdir()) == sorted(NAMES)
    assert out.startswith(f"2 runs in {folder}\n") and f"2 of 2 runs -> {folder}/report.md" in out
    assert CAVEAT in out


def test_a_killed_run_has_the_result_of_ssr_edge_train(
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


def test_models_are_paired_on_the_same_split(finished: tuple[Path, dict[str, int], str]) -> None:
    folder, _, _ = finished
    first, second = ((folder / "runs" / name / "split.csv").read_bytes() for name in NAMES)
    assert first == second
    with (folder / "tables" / "comparisons-image.csv").open() as file:
        (row,) = csv.DictReader(file)
    ours, theirs = (
        load_checkpoint(folder / "runs" / name / "checkpoint.safetensors")[1].metrics["test"]["accuracy"]
        for name in NAMES
    )
    assert (row["seeds"], row["p"]) == ("1", "")
    assert float(row["difference"]) == pytest.approx(ours - theirs)


def test_the_report_has_all_tables_and_figures(finished: tuple[Path, dict[str, int], str], breakhis_tree: Path) -> None:
    folder, _, _ = finished
    text = (folder / "report.md").read_text()
    assert "Decision support for research, not a medical device." in text
    assert f"ssr-edge study --data {breakhis_tree.resolve()} --arch ssresnext14_8x4d --recipe paper" in text
    for name in (
        "Table 2",
        "Table 3",
        "Table 4",
        "Comparisons",
        "By image and by patient",
        "Benign",
        "Splits",
        "Environment",
    ):
        assert f"## {name}" in text
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == 2 * 5
    assert all((folder / link).stat().st_size > 5_000 for link in links)


def test_tables_only_needs_no_data(finished: tuple[Path, dict[str, int], str], ssr_edge: Run) -> None:
    folder, _, out = finished
    answer = ssr_edge("study", "--tables-only", "-o", folder)
    assert (answer.code, answer.out) == (0, out.partition("\n")[2])


def test_other_options_are_refused(
    finished: tuple[Path, dict[str, int], str], ssr_edge: Run, breakhis_tree: Path
) -> None:
    folder, _, _ = finished
    answer = ssr_edge("study", "--data", breakhis_tree, *GRID[:-1], "2", "-o", folder)
    assert answer.code == 2
    assert str(folder) in answer.err and "recipe paper (with 1 epochs)" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        ((), 2, "--data"),
        (("--data", "nowhere"), 1, "nowhere"),
        (("--data", "TREE", "--arch", "resnet51"), 2, "'resnet51'"),
        (("--data", "TREE", "--recipe", "fast"), 2, "'fast'"),
        (("--data", "TREE", "--split", "slide"), 2, "'slide'"),
        (("--data", "TREE", "--magnification", "40"), 1, "40X"),
        (("--data", "TREE", "--device", "quantum"), 1, "'quantum'"),
        (("--tables-only",), 2, "study"),
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
