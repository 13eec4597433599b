"""Engines behind one interface, and the choice between them."""

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

# Imported only when chosen: each pulls in a runtime of its own.
_RUNNERS = {
    "openvino": "ssr_edge.runners.openvino.runner:OpenVinoRunner",
    "tensorrt": "ssr_edge.runners.tensorrt.runner:TensorRtRunner",
    "tensorrt-rtx": "ssr_edge.runners.tensorrt.runner:TensorRtRtxRunner",
    "onnxruntime": "ssr_edge.runners.onnxruntime:OnnxRuntimeRunner",
}
RUNTIMES = tuple(_RUNNERS)
Runtime = Literal["auto", "openvino", "tensorrt", "tensorrt-rtx", "onnxruntime"]
_ON_PROCESSOR = ("openvino", "onnxruntime")
# Those that take images as decoded and resize them.
_ORIGINALS_RUNNERS = {
    "tensorrt": "ssr_edge.runners.tensorrt.runner:TensorRtOriginalsRunner",
    "tensorrt-rtx": "ssr_edge.runners.tensorrt.runner:TensorRtRtxOriginalsRunner",
}

# Those that are faster where every call is of one image.
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
    """Loads an engine of a bundle. runtime: one of RUNTIMES. slots: calls that may be under way at once.

    resize: `cpu`, or `gpu` for a runner that TakesOriginals. single: every call will be of one image. threads: that an
    engine on the processor may compute with; None for one a core.

    Raises:
        UsageError: no such runtime, or one that can't compute so. RuntimeUnavailable: no package or device.
        BundleError: the bundle has no such model or engine, or it was changed.
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
            next_step="--resize cpu, or ssr-edge doctor to see what a GPU run lacks",
        )
    runners = _ORIGINALS_RUNNERS if resize == "gpu" else _RUNNERS | (_SINGLE_RUNNERS if single else {})
    module, name = runners[runtime].split(":")
    limited = {"threads": threads} if threads is not None and runtime in _ON_PROCESSOR else {}
    runner: Runner = getattr(import_module(module), name)(bundle, precision, slots, **limited)
    return runner


def open_server_runner(address: ServerAddress, slots: int = 1, retry_policy: RetryPolicy | None = None) -> Runner:
    """Connects to a served model. slots: requests that may be under way at once. retry_policy: None for its defaults.

    Raises:
        ServerError: no answer, no such model, or another than a bundle's. RuntimeUnavailable: no package.
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
    """The precision asked for if the bundle has its model, or what the manifest says was chosen for the runtime.

    A bundle in which nothing was chosen for the runtime gives int8, unless the gate dropped it, else fp32.

    Raises:
        BundleError: the bundle lacks the precision asked for.
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
    """The runtimes that `choose_runtime` would consider, preferred first."""
    if runtime != "auto":
        return [runtime]
    from ssr_edge.machine.gpu import find_gpu

    return [*(("tensorrt", "tensorrt-rtx") if find_gpu() is not None else ()), "openvino"]


def _runnable(choice: Choice) -> str:
    """The choice, or the next best where it was bf16 and this CPU, other than the one it was timed on, has none."""
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
    """Resolves `auto`: TensorRT where the bundle has an engine that this GPU can run, else OpenVINO.

    Returns: the runtime and the reason, in words.
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
