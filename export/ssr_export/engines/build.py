"""Builds engines into a bundle folder: one file each, with its metadata in a .json file of the same name."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import onnx

from ssr_edge.bundle.bundle import model_file
from ssr_edge.bundle.manifest import EngineEntry, Precision
from ssr_edge.common.errors import BuildError
from ssr_edge.common.progress import Log, progress
from ssr_edge.machine.gpu import find_gpu
from ssr_export.engines.tensorrt_builder import TensorRtOptions, build_tensorrt
from ssr_export.onnx.half import to_half
from ssr_export.onnx.qdq_rules import check_qdq

Builder = Literal["openvino", "tensorrt", "tensorrt-rtx"]
BUILDERS: tuple[Builder, ...] = get_args(Builder)


@dataclass(frozen=True)
class EngineRequest:
    """An engine to build. runtime: what builds it.

    required: its precision was explicitly requested, so it must pass the gate; others may be dropped. float_blocks: the
    blocks that the INT8 model keeps in floating point, recorded in the engine's entry.
    """

    runtime: Builder
    precision: Precision
    tensorrt: TensorRtOptions = field(default_factory=TensorRtOptions)
    required: bool = True
    float_blocks: tuple[str, ...] = ()


def candidates(runtime: Builder) -> tuple[Precision, ...]:
    """The precisions worth building for a runtime on this machine if none was requested; fp32 first.

    Raises:
        RuntimeUnavailable: OpenVINO is missing.
    """
    if runtime != "openvino":
        return "fp32", "fp16", "int8"
    from ssr_edge.runners.openvino.core import has_bf16, openvino_core

    return ("fp32", "bf16", "int8") if has_bf16(openvino_core()) else ("fp32", "int8")


def build_engine(folder: Path, request: EngineRequest, log: Log) -> EngineEntry:
    """Builds an engine from a model in `folder` and writes it to `folder`/engines.

    Raises:
        BuildError: the model breaks a Q/DQ rule, or the runtime's parser or builder rejects it.
        RuntimeUnavailable: the runtime's package is missing, or this CPU lacks bf16.
    """
    if request.precision == "bf16" and request.runtime != "openvino":
        raise BuildError(
            f"{request.runtime} takes its precision from the model, and the bundle has no bf16 model",
            expected="--precision fp16 with TensorRT",
            next_step=f"ssr-edge build-engine --runtime {request.runtime} --precision fp16",
        )
    model = folder / model_file(request.precision)
    check_qdq(onnx.load(model))
    started = time.monotonic()
    if request.runtime == "openvino":
        data, entry = _openvino(model, request)
    else:
        data, entry = _tensorrt(model, request, log)
    entry.float_blocks = list(request.float_blocks)
    entry.build_seconds = round(time.monotonic() - started, 3)
    path = folder / entry.file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    path.with_suffix(".json").write_text(entry.model_dump_json(indent=2), encoding="utf-8")
    return entry


def _openvino(model: Path, request: EngineRequest) -> tuple[bytes, EngineEntry]:
    from ssr_edge.runners.openvino.core import check_cpu, cpu_name, openvino_core, openvino_version
    from ssr_edge.runners.openvino.runner import MAX_BATCH, RUNTIME, compile_network, engine_options

    core = openvino_core()
    check_cpu(core, request.precision)
    if request.precision == "fp16":
        raise BuildError(
            "OpenVINO computes in FP32, BF16 or INT8 on a CPU, so an fp16 engine would run in FP32",
            expected="--precision fp32, bf16 or int8 with --runtime openvino",
            next_step="ssr-edge build-engine --precision int8",
        )
    try:
        compiled = compile_network(core, model, request.precision)
    except RuntimeError as error:
        raise BuildError(
            f"OpenVINO rejected {model.name}: {str(error).splitlines()[-1]}",
            expected="a model.*.onnx of an ssr-edge bundle",
            next_step="ssr-edge export",
        ) from error
    device = cpu_name(core)
    entry = EngineEntry(
        file=_file_name(RUNTIME, openvino_version(), device, request.precision, "blob"),
        runtime=RUNTIME,
        version=openvino_version(),
        device=device,
        precision=request.precision,
        model=model.name,
        batch=(1, 1, MAX_BATCH),
        build_seconds=0,
        options=engine_options(request.precision),
    )
    return compiled.export_model().getvalue(), entry


def _tensorrt(model: Path, request: EngineRequest, log: Log) -> tuple[bytes, EngineEntry]:
    from ssr_edge.runners.tensorrt.engine import import_tensorrt

    options = request.tensorrt
    trt = import_tensorrt(request.runtime)
    if request.runtime == "tensorrt-rtx" and options.timing_cache is not None:
        log("TensorRT for RTX has no timing cache: it does no timing during a build")
        options = replace(options, timing_cache=None)
    device = _tensorrt_device(request)
    graph = onnx.load(model)
    # The floating-point part of an INT8 network is faster in FP16, and on Turing it does not build in FP32 at all.
    if request.precision == "int8":
        graph = to_half(graph)
    with progress(f"building {request.runtime} {request.precision}", None) as advance:
        plan = build_tensorrt(
            trt, graph.SerializeToString(), options, log, lambda done, of, phase: advance(0, f"{done}/{of} {phase}")
        )
    entry = EngineEntry(
        file=_file_name(request.runtime, trt.__version__, device, request.precision, "plan"),
        runtime=request.runtime,
        version=trt.__version__,
        device=device,
        precision=request.precision,
        model=model.name,
        batch=options.batch,
        build_seconds=0,
        options={
            "hardware_compatibility": options.hardware_compatibility,
            "version_compatible": str(options.version_compatible).lower(),
        },
    )
    return plan, entry


def _tensorrt_device(request: EngineRequest) -> str:
    if request.runtime == "tensorrt-rtx":
        return ",".join(request.tensorrt.targets) or "portable"
    gpu = find_gpu()
    if gpu is None:
        raise BuildError(
            "TensorRT builds on its target GPU, and this machine has no GPU",
            expected="an NVIDIA GPU and its driver",
            next_step="ssr-edge build-engine --runtime tensorrt-rtx  (builds ahead of time, without a GPU)",
        )
    return "sm_" + gpu.compute_capability.replace(".", "")


def _file_name(runtime: str, version: str, device: str, precision: str, suffix: str) -> str:
    plain = re.sub(r"[^a-z0-9_]+", "_", device.lower()).strip("_")
    return f"engines/{runtime}-{version}-{plain}-{precision}.{suffix}"
