from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.common.text import printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("SOB_B_A-14-22549AB-100-001.png", "SOB_B_A-14-22549AB-100-001.png"),
        ("\u7d44\u7e54 caf\u00e9.png", "\u7d44\u7e54 caf\u00e9.png"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe", "\\u202egnp.exe"),
        (os.fsdecode(b"\xe9\xff.png"), "\\xe9\\xff.png"),
        ("\ud800", "\\ud800"),
    ],
)
def test_names_are_escaped_where_a_terminal_or_utf8_needs_it(name: str, shown: str) -> None:
    assert printable(name) == shown
    assert printable(Path(name)) == shown


@given(st.text(st.characters()))
def test_what_is_printed_is_always_printable_utf8(name: str) -> None:
    assert printable(name).isprintable()
    printable(name).encode("utf-8")
