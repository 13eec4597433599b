"""Options shared by `export` and `build-engine`: how models are made from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

# Same values as ssr_export.int8.ranges.Method, which can't be imported here: `--help` must load quickly.
MethodName = Literal["minmax", "percentile", "entropy", "mse", "auto"]
DEFAULT_METHOD: MethodName = "mse"

CalibrationImages = Annotated[
    Path | None, typer.Option(help="Folder of images. (default: the checkpoint's training images)", show_default=False)
]
CalibrationCache = Annotated[
    Path | None,
    typer.Option(help="JSON file of INT8 ranges; used if it matches, else replaced.", show_default=False),
]
MethodOption = Annotated[MethodName, typer.Option(help="How to choose INT8 ranges.")]
Equalize = Annotated[
    bool,
    typer.Option("--equalize", "--equalise", help="Equalize the channel ranges of each tensor; exact in FP32."),
]
CorrectBias = Annotated[
    bool, typer.Option("--correct-bias/--no-correct-bias", help="Correct the mean error of each INT8 convolution.")
]
Cam = Annotated[bool, typer.Option("--cam", help="Also output class activation maps, for evaluate --cam.")]
