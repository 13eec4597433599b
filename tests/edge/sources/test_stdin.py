from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from ssr_edge.sources.stdin import paths_on_stdin

Write = Callable[[bytes], None]


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """A pipe as standard input; what is written to it is all there is."""
    reading, writing = os.pipe()

    def write(data: bytes) -> None:
        os.write(writing, data)
        os.close(writing)

    with os.fdopen(reading) as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield write


def found() -> list[str]:
    return [path.as_posix() for path in paths_on_stdin(Event())]


def test_a_path_a_line_in_its_order(stdin: Write) -> None:
    stdin(b"b.png\n\n  \na 1.png\r\nmissing.png")
    assert found() == ["b.png", "a 1.png", "missing.png"]


def test_names_need_not_be_utf8(stdin: Write) -> None:
    stdin(b"caf\xe9.png\n")
    (path,) = paths_on_stdin(Event())
    assert os.fsencode(path) == b"caf\xe9.png"


def test_empty_stdin_names_nothing_and_is_no_error(stdin: Write) -> None:
    stdin(b"")
    assert found() == []


def test_lines_longer_than_a_block_are_whole(stdin: Write) -> None:
    lines = [f"{number:05}".encode() * 500 for number in range(20)]
    stdin(b"\n".join(lines))
    assert found() == [line.decode() for line in lines]


@pytest.mark.skipif(os.name != "posix", reason="only POSIX waits for a pipe for a while")
def test_stopping_ends_the_wait_for_a_line() -> None:
    program = (
        "import threading; from ssr_edge.sources.stdin import paths_on_stdin; stop = threading.Event();"
        "threading.Timer(0.3, stop.set).start(); print(*paths_on_stdin(stop))"
    )
    started = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"first.png\nhalf")
        process.stdin.flush()
        assert process.stdout.read() == b"first.png\n"
    assert process.returncode == 0 and time.monotonic() - started < 30


def test_a_path_is_there_before_the_next_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as file:
        monkeypatch.setattr(sys, "stdin", file)
        paths = paths_on_stdin(Event())
        os.write(writing, b"a.png\n")
        assert next(paths) == Path("a.png")
        os.write(writing, b"b.png\n")
        assert next(paths) == Path("b.png")
        os.close(writing)
        assert list(paths) == []
