from __future__ import annotations

import io

import pytest
from rich.table import Table

from ssr_edge.common.console import open_console


def test_a_file_gets_lines_longer_than_80_columns() -> None:
    file = io.StringIO()
    open_console(file).print("bundle " * 20)
    assert len(file.getvalue().splitlines()[0]) > 120


def test_stdout_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("label")
    table.add_row("TA")
    open_console().print(table)
    assert "TA" in capsys.readouterr().out
