"""Lists what this machine lacks for the GPU tests: `python -m tests.gpu.missing`; exit code 77 if anything is missing.

77 is the customary exit code for "skipped"; pytest and Python never use it, so it can't be mistaken for a pass.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec

from ssr_edge.common.errors import SsrEdgeError
from ssr_edge.common.install_hint import install_hint
from ssr_edge.machine.gpu import find_gpu
from ssr_edge.runners.tensorrt.cuda import open_cuda
from ssr_edge.runners.tensorrt.engine import import_tensorrt
from ssr_kernels.compile import RESIZE_AREA, compile_kernel
from ssr_kernels.errors import KernelError

SKIPPED = 77
RUNTIMES = ("tensorrt", "tensorrt-rtx")


def missing() -> list[str]:
    """Missing items, each with the command that installs it; empty if nothing is missing."""
    gpu = find_gpu()
    if gpu is None:
        return ["no NVIDIA GPU, or no driver for it; next: nvidia-smi"]
    found: list[str] = []
    capability = gpu.compute_capability.replace(".", "")
    checks: list[Callable[[], object]] = [
        lambda: open_cuda("tensorrt"),
        lambda: compile_kernel(RESIZE_AREA, capability),
    ]
    for check in checks:
        try:
            check()
        except (SsrEdgeError, KernelError) as error:
            found.append(f"{error.found}; next: {error.next_step}")
    without = []
    for runtime in RUNTIMES:
        try:
            import_tensorrt(runtime)
        except SsrEdgeError as error:
            without.append(f"{error.found}; next: {error.next_step}")
    if len(without) == len(RUNTIMES):
        found += without
    for package in ("torch", "onnxruntime", "onnxscript"):
        if find_spec(package) is None:
            found.append(f"{package} is not installed; next: {install_hint('export')}")
    return found


def main() -> None:
    """Prints what is missing and exits with 77, or returns."""
    found = missing()
    for line in found:
        print(f"GPU tests not run: {line}", file=sys.stderr)
    if found:
        sys.exit(SKIPPED)


if __name__ == "__main__":
    main()
