"""`ssr-edge doctor`: what this machine can run, and what is missing."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    runtime: Annotated[
        str | None,
        typer.Option(help="Exit with code 1 if this machine can't run engines of this runtime.", show_default=False),
    ] = None,
    json_file: Annotated[str | None, typer.Option("--json", help="Write JSON to a file, or - for stdout.")] = None,
) -> None:
    """Show what this machine can run, what is missing, and the command that installs it."""
    import json

    from ssr_edge.cli.output import write_json
    from ssr_edge.machine.doctor import examine, show

    report = examine()
    if json_file:
        text = json.dumps(report, indent=2)
        if json_file == "-":
            typer.echo(text)
        else:
            write_json(json_file, text)
    if json_file != "-":
        show(report)
    if runtime is not None:
        from ssr_edge.runners.health import check_runtime

        check_runtime(runtime)
