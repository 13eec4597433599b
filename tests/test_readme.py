"""Every command that the README marks with `<!-- run -->` is run, in order, in a copy of what a clone would hold."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"<!-- run -->\n```bash\n(.*?)```", re.DOTALL)


def readme_commands() -> list[str]:
    return [line for block in BLOCK.findall((ROOT / "README.md").read_text()) for line in block.splitlines()]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, breakhis_tree: Path) -> Path:
    """A folder that looks like the project's root, with a small BreaKHis_v1 in it."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "ssr_edge").symlink_to(ROOT / "ssr_edge")
    (folder / "BreaKHis_v1").symlink_to(breakhis_tree)
    return folder


def test_the_readme_has_commands_of_every_verb() -> None:
    verbs = {command.split()[1] for command in readme_commands()}
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


@pytest.mark.slow
def test_the_readmes_commands_work(clone: Path) -> None:
    for command in readme_commands():
        program, *arguments = shlex.split(command, comments=True)
        assert program == "ssr-edge"
        run = subprocess.run(
            [Path(sys.executable).with_name("ssr-edge"), *arguments], cwd=clone, capture_output=True, text=True
        )
        assert run.returncode == 0, f"{command}\n{run.stdout}\n{run.stderr}"
    for result in ("predictions.csv", "bench.json", "results/pc.csv", "results/pc.jsonl", "results/bench.json"):
        assert (clone / result).stat().st_size > 0
    assert len((clone / "predictions.csv").read_text().splitlines()) == 23
    plans = sorted(path.name for path in (clone / "bundles/mine/engines").glob("*.plan"))
    assert len(plans) == 2


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
