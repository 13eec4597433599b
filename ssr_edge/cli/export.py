"""`ssr-edge export`: checkpoint -> bundle without engines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssr_edge.cli.calibration_options import (
    DEFAULT_METHOD,
    CalibrationCache,
    CalibrationImages,
    Cam,
    CorrectBias,
    Equalize,
    MethodOption,
)
from ssr_edge.cli.defaults import bundle_name, find_checkpoint
from ssr_edge.cli.extras import importing


def export(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="Checkpoint or run. (default: newest run, or else demo)", show_default=False)
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Folder to write. (default: bundles/RUN)", show_default=False)
    ] = None,
    calibration_images: CalibrationImages = None,
    calibration_cache: CalibrationCache = None,
    method: MethodOption = DEFAULT_METHOD,
    equalize: Equalize = False,
    correct_bias: CorrectBias = True,
    cam: Cam = False,
) -> None:
    """Fold a checkpoint and write its FP32, FP16 and INT8 models, without engines."""
    with importing("export"):
        from ssr_export.build_bundle import build_bundle
        from ssr_export.plan import BundlePlan, Int8Corrections

    from ssr_edge.bundle.bundle import BUNDLES

    source = find_checkpoint(checkpoint)
    plan = BundlePlan(
        source=source,
        bundle=bundle or BUNDLES / bundle_name(source),
        engines=(),
        method=method,
        images=calibration_images,
        cache=calibration_cache,
        corrections=Int8Corrections(equalize=equalize, correct_bias=correct_bias),
        cam=cam,
    )
    with importing("export"):
        written = build_bundle(plan, typer.echo)
    typer.echo(f"wrote {written.path}\nnext: ssr-edge build-engine {written.path}")
