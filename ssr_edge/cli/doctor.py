"""`ssr-edge doctor`: what this machine can run and what is missing."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    json_file: Annotated[str | None, typer.Option("--json", help="Write JSON to a file, or - for stdout.")] = None,
) -> None:
    """Say what this machine can run, what is missing, and the command that adds it."""
    import json

    from ssr_edge.cli.output import write_json
    from ssr_edge.doctor import examine, show

    report = examine()
    if json_file:
        text = json.dumps(report, indent=2)
        if json_file == "-":
            typer.echo(text)
            return
        write_json(json_file, text)
    show(report)
