"""The `ssr-edge` command: registers the subcommands, and maps errors to messages and exit codes."""

from __future__ import annotations

import sys

import typer

from ssr_edge import __version__
from ssr_edge.cli.bench import bench
from ssr_edge.cli.build_engine import build_engine
from ssr_edge.cli.data import app as data
from ssr_edge.cli.doctor import doctor
from ssr_edge.cli.evaluate import evaluate
from ssr_edge.cli.export import export
from ssr_edge.cli.infer import infer
from ssr_edge.cli.inspect import inspect
from ssr_edge.cli.study import study
from ssr_edge.cli.train import train
from ssr_edge.cli.triton import triton
from ssr_edge.common.errors import SsrEdgeError

app = typer.Typer(
    name="ssr-edge",
    help="Breast-histopathology classification with SSResNeXt, from training to real-time inference on an edge device. "
    "Decision support for research, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data, name="data")
for verb in (train, evaluate, study, export, build_engine, infer, bench, triton, inspect, doctor):
    app.command(name=verb.__name__.replace("_", "-"))(verb)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def run() -> None:
    """Entry point. Prints an SsrEdgeError without a traceback and exits with its code; Ctrl-C exits with 130."""
    try:
        app()
    except SsrEdgeError as error:
        print(f"ssr-edge: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
