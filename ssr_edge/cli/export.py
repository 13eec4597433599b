"""`ssr-edge export`: checkpoint -> bundle without engines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ssr_edge.cli.defaults import bundle_name, find_checkpoint
from ssr_edge.cli.extras import importing


def export(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="Checkpoint or run. (default: newest run, else demo)", show_default=False)
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Folder to write. (default: bundles/RUN)", show_default=False)
    ] = None,
    calibration_images: Annotated[
        Path | None, typer.Option(help="Folder. (default: the checkpoint's training images)", show_default=False)
    ] = None,
    method: Annotated[
        Literal["minmax", "mse", "entropy", "mse", "auto"], typer.Option(help="How INT8 ranges are chosen.")
    ] = "mse",
    equalise: Annotated[
        bool, typer.Option("--equalise", help="Bring the channels of each tensor to like ranges; exact in FP32.")
    ] = False,
    correct_bias: Annotated[
        bool, typer.Option("--correct-bias", help="Take back the mean error of each INT8 convolution.")
    ] = False,
) -> None:
    """Fold a checkpoint and write its FP32, FP16 and INT8 models, without engines."""
    with importing("export"):
        from ssr_export.make_bundle import BundlePlan, make_bundle
        from ssr_export.remedies import Remedies

    from ssr_edge.bundle import BUNDLES

    source = find_checkpoint(checkpoint)
    target = bundle or BUNDLES / bundle_name(source)
    remedies = Remedies(equalise=equalise, correct_bias=correct_bias)
    plan = BundlePlan(source, target, (), method, images=calibration_images, remedies=remedies)
    made = make_bundle(plan, typer.echo)
    typer.echo(f"wrote {made.path}\nnext: ssr-edge build-engine {made.path}")
