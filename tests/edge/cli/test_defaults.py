from __future__ import annotations

import os
from pathlib import Path

import pytest

from ssr_edge.cli.defaults import bundle_name, find_checkpoint
from ssr_edge.common.errors import UsageError
from ssr_edge.demo import DEMO_CHECKPOINT, DEMO_IMAGES


def finish_run(name: str, age: float) -> Path:
    path = Path("runs") / name / "checkpoint.safetensors"
    path.parent.mkdir(parents=True)
    path.touch()
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def test_the_newest_finished_run_is_taken_else_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint(None) == DEMO_CHECKPOINT
    (tmp_path / "runs" / "unfinished").mkdir(parents=True)
    newest = [finish_run(name, age) for name, age in (("b", 20), ("a", 10), ("c", 30))][1]
    assert find_checkpoint(None) == newest
    assert bundle_name(newest) == "a"


def test_a_checkpoint_is_named_by_file_or_by_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = finish_run("a", 1)
    assert find_checkpoint(path) == find_checkpoint(path.parent) == path


@pytest.mark.parametrize("name", ["missing", "runs/unfinished"])
def test_what_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "unfinished").mkdir(parents=True)
    with pytest.raises(UsageError) as error:
        find_checkpoint(Path(name))
    assert name in error.value.found
    assert "checkpoint.safetensors" in error.value.expected


def test_the_demos_bundle_is_called_demo_and_its_images_are_there(demo_images: list[Path]) -> None:
    assert bundle_name(DEMO_CHECKPOINT) == "demo"
    assert demo_images[0].parent == DEMO_IMAGES
