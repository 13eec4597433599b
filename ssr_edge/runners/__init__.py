"""Engines behind one interface, and the choice between them."""

from __future__ import annotations

from importlib import import_module

from ssr_edge.bundle import Bundle, model_file
from ssr_edge.errors import BundleError, UsageError
from ssr_edge.manifest import PRECISIONS
from ssr_edge.runners.base import Outputs, Runner

__all__ = ["RUNTIMES", "Outputs", "Runner", "choose_precision", "choose_runtime", "open_runner"]

# Imported only when chosen: each pulls in a runtime of its own.
_RUNNERS = {
    "openvino": "ssr_edge.runners.openvino:OpenVinoRunner",
    "tensorrt": "ssr_edge.runners.tensorrt:TensorRtRunner",
    "tensorrt-rtx": "ssr_edge.runners.tensorrt:TensorRtRtxRunner",
    "onnxruntime": "ssr_edge.runners.onnxruntime:OnnxRuntimeRunner",
}
RUNTIMES = tuple(_RUNNERS)


def open_runner(bundle: Bundle, runtime: str, precision: str, slots: int = 1) -> Runner:
    """Loads an engine of a bundle. runtime: one of RUNTIMES. slots: calls that may be under way at once.

    Raises:
        UsageError: no such runtime. RuntimeUnavailable: its package or its device is missing.
        BundleError: the bundle has no such model or engine, or it was changed.
    """
    if runtime not in _RUNNERS:
        raise UsageError(f"runtime {runtime!r} is not known", expected=", ".join(RUNTIMES), next_step="ssr-edge doctor")
    module, name = _RUNNERS[runtime].split(":")
    runner: Runner = getattr(import_module(module), name)(bundle, precision, slots)
    return runner


def choose_precision(bundle: Bundle, asked: str | None) -> str:
    """The precision asked for if the bundle has its model, or the fastest it has: int8, else fp32.

    Raises:
        BundleError: the bundle lacks the precision asked for.
    """
    available = [precision for precision in PRECISIONS if bundle.has(model_file(precision))]
    if asked is None:
        return "int8" if "int8" in available else "fp32"
    if asked not in available:
        raise BundleError(
            f"{bundle.path} has no {asked} model",
            expected="one of " + ", ".join(available),
            next_step=f"ssr-edge build-engine --precision {asked}",
        )
    return asked


def choose_runtime(bundle: Bundle, asked: str, precision: str) -> tuple[str, str]:
    """Resolves `auto`: TensorRT where the bundle has an engine that this GPU can run, else OpenVINO.

    Returns: the runtime and the reason, in words.
    """
    if asked != "auto":
        return asked, "asked for"
    from ssr_edge.gpu import find_gpu

    gpu = find_gpu()
    for runtime in ("tensorrt", "tensorrt-rtx"):
        if gpu is not None and bundle.engine(runtime, precision) is not None:
            return runtime, f"{gpu.name} and an engine for it"
    if gpu is None:
        return "openvino", "no NVIDIA GPU"
    return "openvino", f"no TensorRT engine for {gpu.name} in the bundle"
