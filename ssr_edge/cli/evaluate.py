"""`ssr-edge evaluate`: metrics of a checkpoint or a bundle on labelled images."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from ssr_edge.cli.defaults import find_checkpoint
from ssr_edge.cli.extras import importing


def evaluate(
    source: Annotated[
        Path | None, typer.Argument(help="Checkpoint or bundle. (default: newest run, else demo)", show_default=False)
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Images. (default: those it was trained with)", show_default=False)
    ] = None,
    part: Annotated[Literal["val", "test", "all"], typer.Option(help="Part of the checkpoint's split.")] = "test",
    runtime: Annotated[str, typer.Option(help="Of a bundle.")] = "openvino",
    precision: Annotated[
        str | None, typer.Option(help="Of a bundle. (default: its choice)", show_default=False)
    ] = None,
    json_file: Annotated[str | None, typer.Option("--json", help="Write JSON to a file, or - for stdout.")] = None,
) -> None:
    """Judge a checkpoint, or the engine of a bundle, on images it has not seen."""
    with importing("train"):
        from ssr_train.judge import judge_bundle, judge_checkpoint

    from ssr_edge.bundle import MANIFEST, Bundle
    from ssr_edge.cli.output import write_json
    from ssr_edge.cli.tables import metrics_table

    if source is not None and (source / MANIFEST).exists():
        name, metrics = judge_bundle(Bundle.open(source), data, part, runtime, precision)
    else:
        name, metrics = judge_checkpoint(find_checkpoint(source), data, part)
    text = json.dumps({"source": name, "part": part, **asdict(metrics)})
    if json_file == "-":
        typer.echo(text)
        return
    metrics_table(f"{name}, {part}", metrics)
    if json_file:
        write_json(json_file, text)
