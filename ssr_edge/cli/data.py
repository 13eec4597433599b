"""`ssr-edge data`: verifies a copy of BreaKHis, splits it, and finds leakage between lists of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

WRONG = 3

app = typer.Typer(help="Verify BreaKHis, split it, and find leakage.", no_args_is_help=True)
JsonFile = Annotated[str | None, typer.Option("--json", help="Write JSON to this file, or - for stdout.")]


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="Folder, or the official .tar.gz, which is not unpacked.")],
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="List every name, not only the first ones.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Check a copy of BreaKHis against the SHA-256 of all 7,909 official files.

    The exit code is 3 if the copy is incomplete or changed.
    """
    from ssr_edge.breakhis.verify.official_files import OfficialFiles
    from ssr_edge.breakhis.verify.report import as_json, show
    from ssr_edge.breakhis.verify.verify import verify as check
    from ssr_edge.cli.output import write_json

    official = OfficialFiles.shipped()
    found = check(path, official)
    if json_file == "-":
        typer.echo(as_json(path, found, official))
    else:
        show(path, found, official, verbose)
        if json_file:
            write_json(json_file, as_json(path, found, official))
    if not found.whole:
        raise typer.Exit(WRONG)


@app.command()
def split(
    path: Annotated[Path, typer.Argument(help="The BreaKHis folder, or a folder with an index.csv.")],
    kind: Annotated[
        Literal["image", "patient", "kfold", "official"],
        typer.Option(help="image, patient: one split by image or by patient. kfold, official: one file per fold."),
    ] = "patient",
    magnification: Annotated[
        int | None, typer.Option(help="40, 100, 200 or 400. (default: all images)", show_default=False)
    ] = None,
    unit: Annotated[
        Literal["image", "patient"] | None,
        typer.Option(help="kfold: split by image or by patient. (default: patient)", show_default=False),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=3, help="kfold: number of folds. (default: 5)", show_default=False)
    ] = None,
    fold: Annotated[
        int | None, typer.Option(min=1, help="Write only this fold, counted from 1.", show_default=False)
    ] = None,
    folds_dir: Annotated[
        Path | None,
        typer.Option(help="official: folder with dsfold1.txt to dsfold5.txt.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Split file. Several folds: split.fold-1.csv and so on.")
    ] = Path("split.csv"),
) -> None:
    """Split images into train, val and test parts. Use the file with `ssr-edge train --split`."""
    from ssr_edge.cli.data_split import SplitRequest, write_splits

    write_splits(SplitRequest(path, kind, magnification, unit, folds, fold, folds_dir, seed, output))


@app.command()
def leakage(
    a: Annotated[
        str,
        typer.Argument(
            help="Split file (without B, its parts are compared with each other), SPLIT.csv:train, folder, or text "
            "file of names or paths.",
            show_default=False,
        ),
    ],
    b: Annotated[str | None, typer.Argument(help="The list to compare A with.", show_default=False)] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with the images of a split or list of names, to compare pixels.", show_default=False),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Find files, patients, pixels and contradictory twins shared by two lists. The exit code is 3 if there are any."""
    from ssr_edge.cli.data_leakage import compare

    if compare(a, b, data, json_file):
        raise typer.Exit(WRONG)
