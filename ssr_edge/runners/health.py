"""Checks whether this machine can currently run a runtime's engines, for a container's health check."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ssr_edge.common.errors import RuntimeUnavailable, UsageError
from ssr_edge.machine.gpu import find_gpu
from ssr_edge.runners.onnxruntime import import_onnxruntime
from ssr_edge.runners.openvino.core import openvino_core
from ssr_edge.runners.tensorrt.cuda import import_pycuda
from ssr_edge.runners.tensorrt.engine import import_tensorrt


def check_runtime(runtime: str) -> None:
    """Loads a runtime's packages with their libraries and, for TensorRT, looks for the GPU.

    Allocates no GPU memory: it runs every few minutes and must not disturb the run that it checks.

    Raises:
        UsageError: unknown runtime. RuntimeUnavailable: a package, a library or the GPU is missing.
    """
    if runtime not in _CHECKS:
        raise UsageError(f"runtime {runtime!r} is not known", expected=", ".join(_CHECKS), next_step="ssr-edge doctor")
    _CHECKS[runtime]()


def _openvino() -> None:
    openvino_core().get_property("CPU", "FULL_DEVICE_NAME")


def _tensorrt(runtime: str) -> None:
    import_tensorrt(runtime)
    import_pycuda(runtime)
    if find_gpu() is None:
        raise RuntimeUnavailable(
            "the driver finds no NVIDIA GPU",
            expected="a GPU that is visible to this process",
            next_step="nvidia-smi; in a container: docker run --gpus all, on a Jetson also --runtime nvidia",
        )


_CHECKS: dict[str, Callable[[], object]] = {
    "openvino": _openvino,
    "tensorrt": partial(_tensorrt, "tensorrt"),
    "tensorrt-rtx": partial(_tensorrt, "tensorrt-rtx"),
    "onnxruntime": import_onnxruntime,
}
