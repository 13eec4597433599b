from __future__ import annotations

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from ssr_edge.cli.bare_option import WithBareRay


def test_no_argument_at_all_is_a_usage_error() -> None:
    app = typer.Typer()

    @app.command(cls=WithBareRay)
    def show(source: str) -> None:
        typer.echo(source)

    answer = CliRunner().invoke(app, [])
    assert (answer.exit_code, "Missing argument" in answer.output) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["folder"], "folder None"),
        (["folder", "--ray"], "folder ''"),
        (["--ray", "folder"], "folder ''"),
        (["--ray", "-"], "- ''"),
        (["folder", "--ray", "head:6379"], "folder 'head:6379'"),
        (["--ray", "10.0.0.7:6379", "folder"], "folder '10.0.0.7:6379'"),
        (["folder", "--ray=head:6379"], "folder 'head:6379'"),
        (["--ray", "a/b:1"], "a/b:1 ''"),
    ],
)
def test_the_address_may_be_left_out(arguments: list[str], said: str) -> None:
    app = typer.Typer()

    @app.command(cls=WithBareRay)
    def show(source: str, ray: Annotated[str | None, typer.Option()] = None) -> None:
        typer.echo(f"{source} {ray!r}")

    assert CliRunner().invoke(app, arguments).output.strip() == said
