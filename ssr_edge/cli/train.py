"""`ssr-edge train`: trains an architecture by a recipe; resumable."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from ssr_edge.cli.defaults import CHECKPOINT, RUNS
from ssr_edge.cli.extras import importing
from ssr_edge.errors import UsageError


def train(
    data: Annotated[
        Path | None, typer.Option(help="BreaKHis's tree, or a folder with an index.csv.", show_default=False)
    ] = None,
    arch: Annotated[str, typer.Option(help="Architecture; '/shared' behind it shares the kernels' weights.")] = (
        "ssresnext50_32x4d"
    ),
    recipe: Annotated[str, typer.Option(help="paper, modern, or a .toml file.")] = "paper",
    magnification: Annotated[
        int | None, typer.Option(help="40, 100, 200 or 400; all images when left out.", show_default=False)
    ] = None,
    split: Annotated[
        Literal["image", "patient"], typer.Option(help="What must not stand on both sides of the split.")
    ] = "image",
    seed: Annotated[int, typer.Option(help="Fixes the split, the first weights and every draw.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.", show_default=False)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    run: Annotated[
        Path | None, typer.Option(help="Folder of the run. (default: runs/ARCH-TIME)", show_default=False)
    ] = (None),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where --run, or the newest unfinished run, stopped.")
    ] = (False),
) -> None:
    """Train a network: images in, checkpoint out."""
    with importing("train"):
        from ssr_train.arch import arch_by_name
        from ssr_train.device import choose_device
        from ssr_train.loop import TrainOptions
        from ssr_train.loop import train as run_training
        from ssr_train.recipe import load_recipe
        from ssr_train.run_file import read_options, write_options

    if resume:
        options = read_options(run or _newest_unfinished(), choose_device(device))
    else:
        if data is None:
            raise UsageError(
                "no images were named", expected="--data FOLDER", next_step="ssr-edge train --data BreaKHis_v1"
            )
        chosen = load_recipe(recipe)
        if epochs is not None:
            chosen = chosen.model_copy(update={"epochs": epochs})
        folder = run or RUNS / f"{arch.replace('/', '-')}-{datetime.now():%Y%m%d-%H%M%S}"
        options = TrainOptions(
            folder, data, arch_by_name(arch), chosen, magnification, split, seed, choose_device(device)
        )
        write_options(options)
    checkpoint = run_training(options, resume, typer.echo)
    typer.echo(f"wrote {checkpoint}\nnext: ssr-edge build-engine")


def _newest_unfinished() -> Path:
    runs = [path for path in RUNS.glob("*") if (path / "run.json").exists() and not (path / CHECKPOINT).exists()]
    if not runs:
        raise UsageError(
            f"no unfinished run in {RUNS.resolve()}",
            expected="a run that was stopped, or --run FOLDER",
            next_step="ssr-edge train --data FOLDER",
        )
    return max(runs, key=lambda path: (path / "run.json").stat().st_mtime)
