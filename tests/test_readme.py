"""Every command that README.md and docs/train.md mark with `<!-- run -->` is run, in order, in a copy of a clone."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/train.md")
BLOCK = re.compile(r"<!-- run -->\n```(bash|python)\n(.*?)```", re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    return [code for kind, code in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")) if kind == language]


def commands(page: str) -> list[str]:
    return [line for block in blocks(page, "bash") for line in block.splitlines()]


@pytest.fixture
def clone(tmp_path: Path, breakhis_tree: Path) -> Path:
    """A folder that looks like the project's root, with a small BreaKHis_v1 in it."""
    (tmp_path / "ssr_edge").symlink_to(ROOT / "ssr_edge")
    (tmp_path / "BreaKHis_v1").symlink_to(breakhis_tree)
    return tmp_path


def run_page(page: str, clone: Path) -> None:
    for command in commands(page):
        program, *arguments = shlex.split(command, comments=True)
        assert program == "ssr-edge"
        run = subprocess.run(
            [sys.executable, ROOT / "tests" / "brief_command.py", *arguments], cwd=clone, capture_output=True, text=True
        )
        assert run.returncode == 0, f"{command}\n{run.stdout}\n{run.stderr}"


def test_the_pages_have_commands_of_every_verb() -> None:
    verbs = {command.split()[1] for page in PAGES for command in commands(page)}
    assert verbs == {
        "build-engine",
        "infer",
        "bench",
        "inspect",
        "doctor",
        "train",
        "evaluate",
        "data",
        "study",
        "triton",
    }


def test_the_installed_command_is_the_packages() -> None:
    command = Path(sys.executable).with_name("ssr-edge")
    run = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run.stdout)


@pytest.mark.slow
def test_the_readmes_commands_work(clone: Path) -> None:
    run_page("README.md", clone)
    assert len((clone / "predictions.csv").read_text().splitlines()) == 23
    assert (clone / "bench.json").stat().st_size > 0
    for program in blocks("README.md", "python"):
        run = subprocess.run([sys.executable, "-c", program], cwd=clone, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert "Prediction(label=" in run.stdout


@pytest.mark.slow
def test_the_training_pages_commands_work(clone: Path) -> None:
    run_page("docs/train.md", clone)
    assert (clone / "runs/small/checkpoint.safetensors").stat().st_size > 0
    assert "Table 2" in (clone / "studies/small/report.md").read_text()


def test_relative_links_lead_somewhere() -> None:
    for page in [
        ROOT / "README.md",
        ROOT / "ARCHITECTURE.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
    ]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_index_of_the_documentation_lists_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {index.parent / target for target in re.findall(r"\]\(([^):]+\.md)\)", index.read_text())}
    assert set((ROOT / "docs").rglob("*.md")) - {index} <= listed


def test_modules_named_in_the_architecture_exist() -> None:
    folders = ("ssr_edge", "train", "export", "kernels", "benchmarks")
    named = set(re.findall(r"`((?:ssr_\w+/)?\w+\.py)`", (ROOT / "ARCHITECTURE.md").read_text()))
    present = {path.name for package in folders for path in (ROOT / package).rglob("*.py")}
    assert named
    assert {Path(name).name for name in named} <= present
