"""Opens runners, and chooses runtime and precision."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from ssr_edge.bundle.bundle import Bundle, model_file
from ssr_edge.bundle.manifest import PRECISIONS, Choice
from ssr_edge.common.errors import BundleError, RuntimeUnavailable, UsageError
from ssr_edge.common.install_hint import install_hint
from ssr_edge.runners.base import Outputs, Phases, Runner, TakesOriginals, TimesPhases

if TYPE_CHECKING:
    from ssr_edge.runners.server.address import RetryPolicy, ServerAddress

__all__ = [
    "RUNTIMES",
    "Outputs",
    "Phases",
    "Runner",
    "TakesOriginals",
    "TimesPhases",
    "choose_precision",
    "choose_runtime",
    "open_runner",
    "open_server_runner",
]

# Imported on demand: each imports its own runtime.
_RUNNERS = {
    "openvino": "ssr_edge.runners.openvino.runner:OpenVinoRunner",
    "tensorrt": "ssr_edge.runners.tensorrt.runner:TensorRtRunner",
    "tensorrt-rtx": "ssr_edge.runners.tensorrt.runner:TensorRtRtxRunner",
    "onnxruntime": "ssr_edge.runners.onnxruntime:OnnxRuntimeRunner",
}
RUNTIMES = tuple(_RUNNERS)
Runtime = Literal["auto", "openvino", "tensorrt", "tensorrt-rtx", "onnxruntime"]
_ON_PROCESSOR = ("openvino", "onnxruntime")
# Take images as decoded and resize them on the GPU.
_ORIGINALS_RUNNERS = {
    "tensorrt": "ssr_edge.runners.tensorrt.runner:TensorRtOriginalsRunner",
    "tensorrt-rtx": "ssr_edge.runners.tensorrt.runner:TensorRtRtxOriginalsRunner",
}

# Faster if every call has one image.
_SINGLE_RUNNERS = {"openvino": "ssr_edge.runners.openvino.runner:OpenVinoSingleRunner"}


def open_runner(
    bundle: Bundle,
    runtime: str,
    precision: str,
    slots: int = 1,
    resize: str = "cpu",
    *,
    single: bool = False,
    threads: int | None = None,
) -> Runner:
    """Loads an engine of a bundle. runtime: one of RUNTIMES. slots: maximum number of calls in flight.

    resize: `cpu`, or `gpu` for a runner that TakesOriginals. single: every call has exactly one image. threads: number
    of compute threads of a CPU engine; None for one per core.

    Raises:
        UsageError: unknown runtime, or one that does not support the precision or `resize`. RuntimeUnavailable: a
            package or the device is missing. BundleError: the bundle lacks the model or engine, or it was modified.
    """
    if runtime not in _RUNNERS:
        raise UsageError(f"runtime {runtime!r} is not known", expected=", ".join(RUNTIMES), next_step="ssr-edge doctor")
    if precision == "bf16" and runtime != "openvino":
        raise UsageError(
            f"{runtime} has no bf16 engine",
            expected="bf16 with OpenVINO, or fp16 with TensorRT",
            next_step=f"--runtime {runtime} --precision fp32",
        )
    if resize == "gpu" and runtime not in _ORIGINALS_RUNNERS:
        raise UsageError(
            f"{runtime} resizes no images: it runs on the CPU",
            expected="--resize gpu with " + " or ".join(_ORIGINALS_RUNNERS),
            next_step="--resize cpu, or ssr-edge doctor to see what a GPU run needs",
        )
    runners = _ORIGINALS_RUNNERS if resize == "gpu" else _RUNNERS | (_SINGLE_RUNNERS if single else {})
    module, name = runners[runtime].split(":")
    limited = {"threads": threads} if threads is not None and runtime in _ON_PROCESSOR else {}
    runner: Runner = getattr(import_module(module), name)(bundle, precision, slots, **limited)
    return runner


def open_server_runner(address: ServerAddress, slots: int = 1, retry_policy: RetryPolicy | None = None) -> Runner:
    """Connects to a served model. slots: maximum number of requests in flight. retry_policy: None for the defaults.

    Raises:
        ServerError: no answer, no such model, or not a bundle's model. RuntimeUnavailable: a package is missing.
    """
    try:
        from ssr_edge.runners.server.runner import ServerRunner
    except ImportError as error:
        raise RuntimeUnavailable(
            f"the client of KServe v2 servers can't be imported: {error}",
            expected="the packages of the extra 'server'",
            next_step=install_hint("server"),
        ) from error
    return ServerRunner(address, slots, retry_policy)


def choose_precision(bundle: Bundle, asked: str | None, runtime: str = "auto") -> str:
    """The requested precision if the bundle has its model; without a request, the manifest's choice for the runtime.

    If the manifest has no choice for the runtime: int8, or fp32 if int8 is missing or was dropped by the gate.

    Raises:
        BundleError: the bundle lacks the requested precision.
    """
    available = [precision for precision in PRECISIONS if bundle.has(model_file(precision))]
    if asked is None:
        choice = next((bundle.manifest.chosen[r] for r in _usable(runtime) if r in bundle.manifest.chosen), None)
        return _without_choice(bundle, available) if choice is None else _runnable(choice)
    if asked not in available:
        raise BundleError(
            f"{bundle.path} has no {asked} model",
            expected="one of " + ", ".join(available),
            next_step=f"ssr-edge build-engine --precision {asked}",
        )
    return asked


def _usable(runtime: str) -> list[str]:
    """The runtimes that `choose_runtime` considers, preferred first."""
    if runtime != "auto":
        return [runtime]
    from ssr_edge.machine.gpu import find_gpu

    return [*(("tensorrt", "tensorrt-rtx") if find_gpu() is not None else ()), "openvino"]


def _runnable(choice: Choice) -> str:
    """The chosen precision; if it is bf16 and this CPU, unlike the one it was timed on, lacks BF16, the next best."""
    if choice.precision != "bf16":
        return choice.precision
    from ssr_edge.runners.openvino.core import has_bf16, openvino_core

    if has_bf16(openvino_core()):
        return "bf16"
    others = [c for c in choice.candidates if c.dropped is None and c.precision != "bf16" and c.ms is not None]
    return min(others, key=lambda candidate: candidate.ms or 0.0).precision if others else "fp32"


def _without_choice(bundle: Bundle, available: Sequence[str]) -> str:
    dropped = {c.precision for choice in bundle.manifest.chosen.values() for c in choice.candidates if c.dropped}
    return "int8" if "int8" in available and "int8" not in dropped else "fp32"


def choose_runtime(bundle: Bundle, asked: str, precision: str) -> tuple[str, str]:
    """Resolves `auto`: TensorRT if there is a GPU and the bundle has a TensorRT engine, else OpenVINO.

    Returns the runtime and the reason, as a phrase.
    """
    if asked != "auto":
        return asked, "asked for"
    from ssr_edge.machine.gpu import find_gpu

    gpu = find_gpu()
    for runtime in ("tensorrt", "tensorrt-rtx"):
        if gpu is not None and bundle.engine(runtime, precision) is not None:
            return runtime, f"{gpu.name} and an engine for it"
    if gpu is None:
        return "openvino", "no NVIDIA GPU"
    return "openvino", f"no TensorRT engine for {gpu.name} in the bundle"
