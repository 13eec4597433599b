"""`ssr-edge data`: checks a copy of BreaKHis, divides it, and looks for what leaks between two lists of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

WRONG = 3

app = typer.Typer(help="Check BreaKHis, divide it, and find leaks.", no_args_is_help=True)


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="Folder, or the official .tar.gz (read as it is, not unpacked).")],
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Every name, not just the first ones.")] = False,
    json_file: Annotated[str | None, typer.Option("--json", help="Write JSON to a file, or - for stdout.")] = None,
) -> None:
    """Check a copy of BreaKHis against the SHA-256 of all 7,909 originals. Exit code 3: not whole, or not clean."""
    from ssr_edge.breakhis.verify.originals import Originals
    from ssr_edge.breakhis.verify.report import as_json, show
    from ssr_edge.breakhis.verify.verify import verify as check
    from ssr_edge.cli.output import write_json

    originals = Originals.shipped()
    found = check(path, originals)
    if json_file == "-":
        typer.echo(as_json(path, found, originals))
    else:
        show(path, found, originals, verbose)
        if json_file:
            write_json(json_file, as_json(path, found, originals))
    if not found.whole:
        raise typer.Exit(WRONG)


@app.command()
def split(
    path: Annotated[Path, typer.Argument(help="BreaKHis's tree, or a folder with an index.csv.")],
    kind: Annotated[
        Literal["image", "patient", "kfold", "official"],
        typer.Option(help="image and patient: one train, val and test; kfold and official: a file for each fold."),
    ] = "patient",
    magnification: Annotated[
        int | None, typer.Option(help="40, 100, 200 or 400; all images when left out.", show_default=False)
    ] = None,
    unit: Annotated[
        Literal["image", "patient"] | None,
        typer.Option(help="kfold: what stands on one side only. (default: patient)", show_default=False),
    ] = None,
    folds: Annotated[int | None, typer.Option(min=3, help="kfold: how many. (default: 5)", show_default=False)] = None,
    fold: Annotated[int | None, typer.Option(min=1, help="Only this fold, counted from 1.", show_default=False)] = None,
    folds_dir: Annotated[
        Path | None,
        typer.Option(help="official: folder with the authors' dsfold1.txt to dsfold5.txt.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the draw.")] = 0,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Split file; of several folds, split.fold-1.csv and so on.")
    ] = Path("split.csv"),
) -> None:
    """Divide images into train, val and test, by image or by patient; the file is for `ssr-edge train --split`."""
    from ssr_edge.cli.data_split import Division, divide

    divide(Division(path, kind, magnification, unit, folds, fold, folds_dir, seed, output))


@app.command()
def leakage(
    a: Annotated[
        str,
        typer.Argument(
            help="Split file (alone: its parts are compared with one another), SPLIT.csv:train, folder, or text file "
            "of names or paths.",
            show_default=False,
        ),
    ],
    b: Annotated[str | None, typer.Argument(help="Another one.", show_default=False)] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Where the images of a split or a list of names are: compares pixels.", show_default=False),
    ] = None,
    json_file: Annotated[str | None, typer.Option("--json", help="Write JSON to a file, or - for stdout.")] = None,
) -> None:
    """Find what two lists share: files, patients, pixels, contradictory twins. Exit code 3: something leaks."""
    from ssr_edge.cli.data_leakage import compare

    if compare(a, b, data, json_file):
        raise typer.Exit(WRONG)
