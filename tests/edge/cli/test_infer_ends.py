"""Interrupted runs of `infer`, and `--resume`: real processes and real signals."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.results.rows import COLUMNS
from tests.edge.image_files import many_images

Run = Callable[..., Any]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals"),
]

INTERRUPTED, TERMINATED, KILLED = 130, 143, -9


def start(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from ssr_edge.cli.main import run; run()", *map(str, arguments)],
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts the tests in the background has its children ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(output: Path, size: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not output.exists() or output.stat().st_size < size:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def rows(path: Path) -> list[dict[str, str]]:
    """Rows without the latency; all are whole."""
    with path.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert all(tuple(row) == COLUMNS and None not in row.values() for row in found)
    return [{name: value for name, value in row.items() if name != "latency_ms"} for row in found]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)])
def test_a_run_that_is_stopped_leaves_whole_lines_and_says_how_to_go_on(
    tiny_bundle: Bundle, tmp_path: Path, demo_images: list[Path], sent: signal.Signals, code: int
) -> None:
    many_images(tmp_path / "images", demo_images, 4000)
    process = start("infer", "images", "--bundle", tiny_bundle.path, cwd=tmp_path)
    output = tmp_path / "predictions.csv"
    wait_for(output, 10_000, process)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err and "Exception" not in err
    assert output.read_text().endswith("\n")
    found = rows(output)
    assert 50 < len(found) < 4000
    assert [row["source"] for row in found] == [f"images/{number}.jpg" for number in range(len(found))]
    last = err.splitlines()[-1]
    assert last.startswith(f"stopped after {len(found)} inputs") and "--resume" in last


def test_parquet_can_be_read_after_an_interrupt(tiny_bundle: Bundle, tmp_path: Path, demo_images: list[Path]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra 'parquet'")
    many_images(tmp_path / "images", demo_images, 4000)
    outputs = ("-o", "p.parquet", "-o", "p.csv")
    process = start("infer", "images", "--bundle", tiny_bundle.path, *outputs, cwd=tmp_path)
    wait_for(tmp_path / "p.csv", 5_000, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert "stopped after " in err.splitlines()[-1] and "--resume" not in err.splitlines()[-1]
    sources = parquet.read_table(tmp_path / "p.parquet").column("source").to_pylist()
    assert abs(len(sources) - len(rows(tmp_path / "p.csv"))) <= 1
    assert sources == [f"images/{number}.jpg" for number in range(len(sources))]


def test_a_killed_run_that_is_resumed_ends_like_an_unbroken_one(
    ssr_edge_process: Run, tiny_bundle: Bundle, tmp_path: Path, demo_images: list[Path]
) -> None:
    many_images(tmp_path / "images", demo_images, 400)
    for number in (0, 57, 200, 399):
        (tmp_path / "images" / f"{number}.png").touch()
    options = ("--bundle", tiny_bundle.path, "--group-by", "patient|(4|7).jpg$", "-o")
    unbroken = ssr_edge_process("infer", "images", *options, "a.csv", cwd=tmp_path)
    killed = 0
    for size in (3_000, 30_000):
        process = start("infer", "images", *options, "b.csv", *(["--resume"] if killed else []), cwd=tmp_path)
        wait_for(tmp_path / "b.csv", size, process)
        process.kill()
        process.communicate(timeout=60)
        assert process.returncode == KILLED
        assert killed < len(rows_so_far(tmp_path / "b.csv")) < 400
        killed = len(rows_so_far(tmp_path / "b.csv"))
    resumed = ssr_edge_process("infer", "images", *options, "b.csv", "--resume", cwd=tmp_path)
    assert (unbroken.code, resumed.code) == (3, 3)
    assert len(rows(tmp_path / "a.csv")) == 400
    assert rows(tmp_path / "b.csv") == rows(tmp_path / "a.csv")
    for suffix in (".failed.csv", ".by-group.csv", ".run.json"):
        assert (tmp_path / f"b{suffix}").read_bytes() == (tmp_path / f"a{suffix}").read_bytes()
    # The table of classes is of both parts; the rate is of this one.
    assert resumed.out == unbroken.out
    table = [line.replace("│", " ").split() for line in resumed.out.splitlines()]
    counted = {words[0]: int(words[-2]) for words in table if words and words[0] in CLASSES}
    assert counted == Counter(row["label"] for row in rows(tmp_path / "a.csv"))
    resumed_after = int(resumed.err.split("resuming after ")[1].split()[0])
    assert killed < resumed_after <= killed + 3
    assert int(resumed.err.split(" images in ")[0].split()[-1]) == 400 - killed


def rows_so_far(path: Path) -> list[bytes]:
    """Whole lines behind the header."""
    return path.read_bytes().split(b"\n")[1:-1]


def test_a_reader_that_goes_away_ends_the_run_quietly(
    tiny_bundle: Bundle, tmp_path: Path, demo_images: list[Path]
) -> None:
    many_images(tmp_path / "images", demo_images, 4000)
    process = start("infer", "images", "--bundle", tiny_bundle.path, "-o", "-", cwd=tmp_path)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == ",".join(COLUMNS) + "\n"
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=60) in (0, 1)
    assert "Traceback" not in err and "Exception" not in err


def test_lines_come_through_a_pipe_as_they_are_made(
    tiny_bundle: Bundle, tmp_path: Path, demo_images: list[Path]
) -> None:
    """The run waits for its next path on stdin, and has written all it could by then."""
    options = ("-o", "-", "--batch", "1", "--threads", "1")
    process = start("infer", "-", *options, "--bundle", tiny_bundle.path, cwd=tmp_path)
    assert process.stdin is not None and process.stdout is not None
    for path in demo_images[:10]:
        process.stdin.write(f"{path}\n")
    process.stdin.flush()
    # Without line buffering nothing would come before 8 KiB: this would wait for ever.
    assert process.stdout.readline() == ",".join(COLUMNS) + "\n"
    assert process.stdout.readline().startswith(str(demo_images[0]))
    process.communicate(timeout=60)
    assert process.returncode == 0
