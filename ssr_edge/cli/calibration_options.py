"""The options that `export` and `build-engine` share: how INT8 is calibrated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

# The same names as ssr_export.int8.ranges.Method, which can't be imported here: `--help` must stay light.
MethodName = Literal["minmax", "percentile", "entropy", "mse", "auto"]
DEFAULT_METHOD: MethodName = "mse"

CalibrationImages = Annotated[
    Path | None, typer.Option(help="Folder. (default: the checkpoint's training images)", show_default=False)
]
CalibrationCache = Annotated[
    Path | None,
    typer.Option(help="JSON file: ranges found before, used if they fit, else replaced.", show_default=False),
]
MethodOption = Annotated[MethodName, typer.Option(help="How INT8 ranges are chosen.")]
Equalize = Annotated[
    bool, typer.Option("--equalize", help="Bring the channels of each tensor to like ranges; exact in FP32.")
]
CorrectBias = Annotated[
    bool, typer.Option("--correct-bias/--no-correct-bias", help="Take back the mean error of each INT8 convolution.")
]
Cam = Annotated[bool, typer.Option("--cam", help="Also give class activation maps, for evaluate --cam.")]
