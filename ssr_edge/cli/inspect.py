"""`ssr-edge inspect`: a bundle in words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    bundle: Annotated[Path | None, typer.Argument(help="Bundle. [default: newest]", show_default=False)] = None,
    json_file: Annotated[str | None, typer.Option("--json", help="Write JSON to a file, or - for stdout.")] = None,
) -> None:
    """Say what a bundle is, where it came from and what was measured of it; checks every file's hash."""
    from ssr_edge.bundle import Bundle
    from ssr_edge.cli.output import write_json
    from ssr_edge.describe import describe

    opened = Bundle.open(bundle) if bundle else Bundle.newest()
    text = opened.manifest.model_dump_json(indent=2)
    if json_file == "-":
        typer.echo(text)
        return
    if json_file:
        write_json(json_file, text)
    describe(opened)
