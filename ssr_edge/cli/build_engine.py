"""`ssr-edge build-engine`: checkpoint or bundle -> bundle with engines, each judged by the gate."""

from __future__ import annotations

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
    from ssr_export.engines.build import EngineRequest
    from ssr_export.engines.tensorrt_builder import TensorRtOptions


def build_engine(
    source: Annotated[
        Path | None,
        typer.Argument(help="Checkpoint, run or bundle. (default: newest run, else demo)", show_default=False),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Folder to write. (default: bundles/RUN, or SOURCE)", show_default=False)
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            help="openvino, tensorrt, tensorrt-rtx; repeatable. (default: this machine's)", show_default=False
        ),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help="fp32, bf16, fp16, int8; repeatable, and each must pass. (default: try all, keep what passes)",
            show_default=False,
        ),
    ] = None,
    calibration_images: CalibrationImages = None,
    calibration_cache: CalibrationCache = None,
    held_out: Annotated[
        Path | None,
        typer.Option(help="Folder for the gate. (default: the checkpoint's val and test)", show_default=False),
    ] = None,
    method: MethodOption = DEFAULT_METHOD,
    equalize: Equalize = False,
    correct_bias: CorrectBias = True,
    cam: Cam = False,
    float_blocks: Annotated[
        str, typer.Option(help="Blocks that INT8 leaves in floating point: auto, none, or names with commas.")
    ] = "auto",
    batch: Annotated[str, typer.Option(help="TensorRT: smallest,best,largest batch.")] = "1,8,32",
    workspace: Annotated[
        int | None, typer.Option(help="TensorRT: most scratch memory, MiB.", show_default=False)
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="TensorRT for RTX: sm_75, sm_86, sm_89, sm_120 ...; repeatable.", show_default=False),
    ] = None,
    timing_cache: Annotated[
        Path | None, typer.Option(help="TensorRT: file of kernel timings kept between builds.", show_default=False)
    ] = None,
    hardware_compatibility: Annotated[
        Literal["none", "ampere_plus", "same_compute_capability"], typer.Option(help="TensorRT: other GPUs to run on.")
    ] = "none",
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="TensorRT: also run on later versions.")
    ] = False,
    allow_drop: Annotated[
        bool, typer.Option("--allow-drop", help="Ship an engine that the gate would refuse; the manifest says so.")
    ] = False,
) -> None:
    """Build the engines of a bundle for this machine, from a checkpoint or from a bundle made elsewhere."""
    from ssr_edge.bundle.bundle import BUNDLES, MANIFEST

    of_bundle = source is not None and (source / MANIFEST).exists()
    with importing("export"):
        from ssr_export.corrections import Int8Corrections
        from ssr_export.engines.tensorrt_builder import TensorRtOptions
        from ssr_export.plan import BundlePlan

        if of_bundle:
            from ssr_export.rebuild import rebuild as make
        else:
            from ssr_export.make_bundle import make_bundle as make

    options = TensorRtOptions(
        batch=_profile(batch),
        workspace_mb=workspace,
        targets=tuple(target or ()),
        timing_cache=timing_cache,
        hardware_compatibility=hardware_compatibility,
        version_compatible=version_compatible,
    )
    if source is not None and of_bundle:
        _not_for_a_bundle({"--cam": cam, "--equalize": equalize, "--calibration-cache": calibration_cache})
        origin, place = source, bundle or source
    else:
        origin = find_checkpoint(source)
        place = bundle or BUNDLES / bundle_name(origin)
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
    made = make(plan, typer.echo)
    typer.echo(f"wrote {made.path}\nnext: ssr-edge infer FOLDER, ssr-edge bench")


def _not_for_a_bundle(given: dict[str, object]) -> None:
    for option in [option for option, value in given.items() if value]:
        raise UsageError(
            f"{option} changes the models, and those of a bundle stay as they are",
            expected="a checkpoint or a run",
            next_step=f"ssr-edge build-engine CHECKPOINT {option}",
        )


def _requests(
    runtimes: list[str] | None, precisions: list[str] | None, options: TensorRtOptions
) -> tuple[EngineRequest, ...]:
    from ssr_edge.bundle.manifest import PRECISIONS
    from ssr_export.engines.build import BUILDERS, EngineRequest, candidates

    chosen = runtimes or _for_this_machine()
    for found, known in ((chosen, BUILDERS), (precisions or [], PRECISIONS)):
        unknown = [value for value in found if value not in known]
        if unknown:
            raise UsageError(
                f"{unknown[0]!r} is not known", expected=", ".join(known), next_step="ssr-edge build-engine --help"
            )
    return tuple(
        EngineRequest(runtime, precision, options, asked_for=precisions is not None)  # type: ignore[arg-type]
        for runtime in chosen
        for precision in precisions or candidates(runtime)
    )


def _for_this_machine() -> list[str]:
    from importlib.util import find_spec

    from ssr_edge.machine.gpu import find_gpu

    return ["openvino"] + (["tensorrt"] if find_gpu() is not None and find_spec("tensorrt") else [])


def _profile(text: str) -> tuple[int, int, int]:
    try:
        smallest, best, largest = (int(part) for part in text.split(","))
        if 1 <= smallest <= best <= largest:
            return smallest, best, largest
    except ValueError:
        pass
    raise UsageError(
        f"--batch {text!r} is not a batch profile",
        expected="three rising numbers: smallest,best,largest",
        next_step="ssr-edge build-engine --batch 1,8,32",
    )
