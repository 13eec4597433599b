"""Compiles the kernels with NVRTC, which needs no GPU and no nvcc: on a device for itself, in CI for every target."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ssr_edge.common.errors import BuildError, RuntimeUnavailable

HERE = Path(__file__).parent
RESIZE_AREA = HERE / "resize_area.cu"
CAM_OVERLAY = HERE / "cam_overlay.cu"
# Turing, A100, RTX 30, Jetson Orin, RTX 40, H100, B200, Jetson Thor, RTX 50.
TARGETS = ("75", "80", "86", "87", "89", "90", "100", "110", "120")


# Each slot of a runner loads the kernel; the compiler takes far longer than the loading.
@cache
def compile_kernel(source: Path, capability: str) -> bytes:
    """Compiles a .cu file to a cubin (an ELF image) for one compute capability, such as "87".

    Raises:
        BuildError: the compiler refuses the file or doesn't know the capability; carries the compiler's log.
        RuntimeUnavailable: NVRTC or its Python bindings are not installed.
    """
    nvrtc = _import_nvrtc()
    program = _ask(nvrtc, nvrtc.nvrtcCreateProgram(source.read_bytes(), source.name.encode(), 0, [], []))
    try:
        options = [
            f"--gpu-architecture=sm_{capability}".encode(),
            f"--include-path={HERE}".encode(),
            b"--std=c++17",
            # Or the compiler fuses what OpenCV rounds twice (see linear_span), and host and device differ.
            b"--fmad=false",
        ]
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise _refused(f"{source.name} doesn't compile for sm_{capability}:\n{_log(nvrtc, program)}")
        cubin = bytearray(_ask(nvrtc, nvrtc.nvrtcGetCUBINSize(program)))
        _ask(nvrtc, nvrtc.nvrtcGetCUBIN(program, cubin))
        return bytes(cubin)
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _import_nvrtc() -> ModuleType:
    try:
        nvrtc = import_module("cuda.bindings.nvrtc")
        # The bindings load the library at the first call, not at import.
        nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError) as error:
        raise RuntimeUnavailable(
            f"NVRTC, NVIDIA's run-time compiler, can't be loaded: {error}",
            expected="the packages cuda-bindings and nvidia-cuda-nvrtc",
            next_step="pip install cuda-bindings nvidia-cuda-nvrtc",
        ) from error
    return nvrtc


def _ask(nvrtc: ModuleType, answer: tuple[Any, ...]) -> Any:
    """Takes the value out of an answer of the bindings, which is (status, value) or (status,)."""
    status, *value = answer
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        _, name = nvrtc.nvrtcGetErrorString(status)
        raise _refused(f"NVRTC failed: {name.decode()}")
    return value[0] if value else None


def _log(nvrtc: ModuleType, program: Any) -> str:
    log = bytearray(_ask(nvrtc, nvrtc.nvrtcGetProgramLogSize(program)))
    _ask(nvrtc, nvrtc.nvrtcGetProgramLog(program, log))
    return log.rstrip(b"\0\n").decode(errors="replace")


def _refused(found: str) -> BuildError:
    return BuildError(
        found,
        expected=f"a kernel that compiles for each of sm_{', sm_'.join(TARGETS)}",
        next_step="pip install --upgrade nvidia-cuda-nvrtc  (or repair the .cu file named above)",
    )
