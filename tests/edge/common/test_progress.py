from __future__ import annotations

import sys

import pytest

from ssr_edge.common import progress as module
from ssr_edge.common.progress import progress


def test_off_a_terminal_it_is_quiet_until_time_has_passed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("ssr_edge.common.progress.time.monotonic", lambda: now)
    with progress("calibrating, image", 128) as advance:
        advance(1, "a note")
        assert capsys.readouterr().err == ""
        now += 25
        advance(7, "a note")
        now += 5
        advance(1, "too soon")
        now += 20
        advance(3, "")
    captured = capsys.readouterr()
    assert captured.err == ("calibrating, image 8/128 after 25 s a note\ncalibrating, image 12/128 after 50 s\n")
    assert captured.out == ""


def test_an_unknown_total_is_left_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "_PLAIN_EVERY_SECONDS", 0.0)
    with progress("classifying, image", None) as advance:
        advance(3, "10/s")
    assert capsys.readouterr().err == "classifying, image 3 after 0 s 10/s\n"


def test_a_terminal_gets_a_bar_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with progress("training, epoch", 4) as advance:
        for epoch in range(4):
            advance(1, f"loss {epoch}")
    captured = capsys.readouterr()
    assert "training, epoch" in captured.err
    assert "4/4" in captured.err
    assert captured.out == ""
