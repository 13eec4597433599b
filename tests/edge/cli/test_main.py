"""The command as a whole: its subcommands, its exit codes, and that it opens no network connection."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssr_edge import __version__
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.install_hint import install_hint
from tests.no_network import NO_NETWORK

Run = Callable[..., Any]

VERBS = (
    "train",
    "evaluate",
    "study",
    "export",
    "build-engine",
    "infer",
    "bench",
    "triton",
    "inspect",
    "doctor",
    "data",
)


def test_the_version_is_the_packages(ssr_edge: Run) -> None:
    assert ssr_edge("--version").out == f"{__version__}\n"


def test_help_lists_every_verb(ssr_edge: Run) -> None:
    text = " ".join(ssr_edge("--help").out.split())
    assert all(f"│ {verb} " in text for verb in VERBS)
    assert "not a medical device" in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(ssr_edge: Run, verb: str) -> None:
    answer = ssr_edge(verb, "--help")
    assert answer.code == 0
    assert f"ssr-edge {verb}" in answer.out


@pytest.mark.parametrize(
    "arguments",
    [("classify",), ("infer",), ("infer", ".", "--speed", "9"), ("infer", ".", "--batch", "0"), ("train", "x")],
)
def test_wrong_usage_exits_with_2(ssr_edge: Run, arguments: tuple[str, ...]) -> None:
    answer = ssr_edge(*arguments)
    assert answer.code == 2
    assert "Traceback" not in answer.err


def test_an_error_is_three_lines_and_no_traceback(
    ssr_edge: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = ssr_edge("inspect", "nothing")
    assert answer.code == 1
    assert answer.out == ""
    found, expected, next_step = answer.err.splitlines()
    assert found.startswith("ssr-edge: nothing ")
    assert expected.startswith("  expected: ") and "manifest.json" in expected
    assert next_step == "  next: ssr-edge build-engine"


def test_a_missing_extra_is_named_with_its_command(tmp_path: Path) -> None:
    program = "import sys; sys.modules['torch'] = None; from ssr_edge.cli.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", program, "train", "--data", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    found, expected, next_step = done.stderr.splitlines()
    assert found.startswith("ssr-edge: torch ")
    assert expected.startswith("  expected: ") and "'train'" in expected
    assert next_step == f"  next: {install_hint('train')}"


@pytest.mark.slow
def test_nothing_phones_home(
    ssr_edge_process: Run, tiny_bundle: Bundle, demo_images: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    shutil.copytree(tiny_bundle.path, tmp_path / "bundles" / "tiny")
    log = tmp_path / "connections"
    # First on the path, before what the tests themselves run with.
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {"PYTHONPATH": path, "CONNECTIONS": str(log)}
    proof = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run([sys.executable, "-c", proof], env=env, check=True, stderr=subprocess.DEVNULL)
    assert "connect_ex" in log.read_text()
    log.unlink()
    for arguments in (
        ("infer", demo_images[0].parent),
        ("inspect",),
        ("doctor",),
        ("triton", "bundles/tiny", "models"),
    ):
        answer = ssr_edge_process(*arguments, cwd=tmp_path, env=env)
        assert answer.code == 0, answer.err
    assert not log.exists(), log.read_text()
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 1 + len(demo_images)
