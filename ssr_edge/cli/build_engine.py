"""`ssr-edge build-engine`: checkpoint or bundle -> bundle with engines that passed the gate."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
from ssr_edge.common.errors import UsageError

if TYPE_CHECKING:
    from ssr_edge.bundle.manifest import Precision
    from ssr_export.engines.build import Builder, EngineRequest
    from ssr_export.engines.tensorrt_builder import TensorRtOptions


# Enums because Typer takes no list of Literals. The values are those of ssr_export.engines.build.Builder and
# ssr_edge.bundle.manifest.Precision, which can't be imported here: `--help` must load quickly.
class RuntimeName(str, Enum):
    """Runtimes that engines can be built for."""

    OPENVINO = "openvino"
    TENSORRT = "tensorrt"
    TENSORRT_RTX = "tensorrt-rtx"


class PrecisionName(str, Enum):
    """Precisions that engines can be built in."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"


def build_engine(
    source: Annotated[
        Path | None,
        typer.Argument(help="Checkpoint, run or bundle. (default: newest run, or else demo)", show_default=False),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Folder to write. (default: bundles/RUN, or SOURCE)", show_default=False)
    ] = None,
    runtime: Annotated[
        list[RuntimeName] | None,
        typer.Option(help="Runtime to build for; repeatable. (default: all on this machine)", show_default=False),
    ] = None,
    precision: Annotated[
        list[PrecisionName] | None,
        typer.Option(
            help="Precision that must pass the gate; repeatable. (default: build all, keep those that pass)",
            show_default=False,
        ),
    ] = None,
    calibration_images: CalibrationImages = None,
    calibration_cache: CalibrationCache = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of images for the gate. (default: the checkpoint's val and test)", show_default=False
        ),
    ] = None,
    method: MethodOption = DEFAULT_METHOD,
    equalize: Equalize = False,
    correct_bias: CorrectBias = True,
    cam: Cam = False,
    float_blocks: Annotated[
        str,
        typer.Option(
            "--float-blocks",
            "--islands",
            help="Blocks to keep in floating point in INT8: auto, none, or comma-separated names.",
        ),
    ] = "auto",
    batch: Annotated[str, typer.Option(help="TensorRT: smallest,optimal,largest batch.")] = "1,8,32",
    workspace: Annotated[
        int | None, typer.Option(help="TensorRT: scratch memory limit, MiB.", show_default=False)
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="TensorRT for RTX: sm_75, sm_86, sm_89, sm_120 ...; repeatable.", show_default=False),
    ] = None,
    timing_cache: Annotated[
        Path | None, typer.Option(help="TensorRT: file of kernel timings, reused between builds.", show_default=False)
    ] = None,
    hardware_compatibility: Annotated[
        Literal["none", "ampere_plus", "same_compute_capability"], typer.Option(help="TensorRT: GPUs to support.")
    ] = "none",
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="TensorRT: support later versions.")
    ] = False,
    allow_drop: Annotated[
        bool, typer.Option("--allow-drop", help="Ship engines that the gate refuses; recorded in the manifest.")
    ] = False,
) -> None:
    """Build the engines of a bundle for this machine, from a checkpoint or from an existing bundle."""
    with importing("export"):
        from ssr_export.build_bundle import build_bundle
        from ssr_export.engines.tensorrt_builder import TensorRtOptions
        from ssr_export.plan import BundlePlan, Int8Corrections

    options = TensorRtOptions(
        batch=_profile(batch),
        workspace_mb=workspace,
        targets=tuple(target or ()),
        timing_cache=timing_cache,
        hardware_compatibility=hardware_compatibility,
        version_compatible=version_compatible,
    )
    origin, place, is_bundle = _places(source, bundle)
    if is_bundle:
        _refuse_for_bundle({"--cam": cam, "--equalize": equalize, "--calibration-cache": calibration_cache})
    plan = BundlePlan(
        source=origin,
        bundle=place,
        engines=_requests(runtime, precision, options),
        method=method,
        images=calibration_images,
        held_out=held_out,
        allow_drop=allow_drop,
        float_blocks=float_blocks,
        cache=calibration_cache,
        corrections=Int8Corrections(equalize=equalize, correct_bias=correct_bias),
        cam=cam,
    )
    with importing("export"):
        written = build_bundle(plan, typer.echo)
    typer.echo(f"wrote {written.path}\nnext: ssr-edge infer FOLDER, ssr-edge bench")


def _places(source: Path | None, bundle: Path | None) -> tuple[Path, Path, bool]:
    """Returns the source, the folder to write, and whether the source is a bundle."""
    from ssr_edge.bundle.bundle import BUNDLES, MANIFEST

    if source is not None and (source / MANIFEST).exists():
        return source, bundle or source, True
    checkpoint = find_checkpoint(source)
    return checkpoint, bundle or BUNDLES / bundle_name(checkpoint), False


def _refuse_for_bundle(given: dict[str, object]) -> None:
    for option in [option for option, value in given.items() if value]:
        raise UsageError(
            f"{option} changes the models, but those of an existing bundle are not rebuilt",
            expected="a checkpoint or a run",
            next_step=f"ssr-edge build-engine CHECKPOINT {option}",
        )


def _requests(
    runtimes: Sequence[RuntimeName] | None, precisions: Sequence[PrecisionName] | None, options: TensorRtOptions
) -> tuple[EngineRequest, ...]:
    from ssr_export.engines.build import EngineRequest, candidates

    builders: list[Builder] = [runtime.value for runtime in runtimes or ()] or _runtimes_of_this_machine()
    named: list[Precision] = [precision.value for precision in precisions or ()]
    return tuple(
        EngineRequest(runtime, precision, options, required=bool(named))
        for runtime in builders
        for precision in named or candidates(runtime)
    )


def _runtimes_of_this_machine() -> list[Builder]:
    from importlib.util import find_spec

    from ssr_edge.machine.gpu import find_gpu

    return ["openvino", "tensorrt"] if find_gpu() is not None and find_spec("tensorrt") else ["openvino"]


def _profile(text: str) -> tuple[int, int, int]:
    try:
        smallest, optimal, largest = (int(part) for part in text.split(","))
        if 1 <= smallest <= optimal <= largest:
            return smallest, optimal, largest
    except ValueError:
        pass
    raise UsageError(
        f"--batch {text!r} is not a batch profile",
        expected="three ascending numbers: smallest,optimal,largest",
        next_step="ssr-edge build-engine --batch 1,8,32",
    )
