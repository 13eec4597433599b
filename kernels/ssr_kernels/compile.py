"""Compiles the kernels with NVRTC, which needs neither a GPU nor nvcc: CI compiles them for every target."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ssr_kernels.errors import CompileError, CompilerMissing

HERE = Path(__file__).parent
RESIZE_AREA = HERE / "resize_area.cu"
# Turing, A100, RTX 30, Jetson Orin, RTX 40, H100, B200, Jetson Thor, RTX 50.
TARGETS = ("75", "80", "86", "87", "89", "90", "100", "110", "120")


# Every slot of a runner loads the kernel; compiling takes far longer than loading.
@cache
def compile_kernel(source: Path, capability: str) -> bytes:
    """Compiles a .cu file to a cubin (an ELF image) for one compute capability, such as "87".

    Raises:
        CompileError: NVRTC rejects the file or does not know the capability; includes the compiler's log.
        CompilerMissing: NVRTC or its Python bindings are not installed.
    """
    nvrtc = _import_nvrtc()
    program = _value(nvrtc, nvrtc.nvrtcCreateProgram(source.read_bytes(), source.name.encode(), 0, [], []))
    try:
        options = [
            f"--gpu-architecture=sm_{capability}".encode(),
            b"--std=c++17",
            # Contraction would fuse operations that OpenCV rounds separately (see linear_span): the results of GPU,
            # host build and OpenCV would differ.
            b"--fmad=false",
        ]
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise _compile_error(f"{source.name} doesn't compile for sm_{capability}:\n{_log(nvrtc, program)}")
        cubin = bytearray(_value(nvrtc, nvrtc.nvrtcGetCUBINSize(program)))
        _value(nvrtc, nvrtc.nvrtcGetCUBIN(program, cubin))
        return bytes(cubin)
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _import_nvrtc() -> ModuleType:
    try:
        nvrtc = import_module("cuda.bindings.nvrtc")
        # The bindings load the library at the first call, not at import.
        nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError) as error:
        raise CompilerMissing(
            f"NVRTC, NVIDIA's run-time compiler, can't be loaded: {error}",
            expected="the packages cuda-bindings and nvidia-cuda-nvrtc",
            next_step="pip install cuda-bindings nvidia-cuda-nvrtc",
        ) from error
    return nvrtc


def _value(nvrtc: ModuleType, result: tuple[Any, ...]) -> Any:
    """Unpacks a result of the bindings, which is (status, value) or (status,); raises if the status is an error."""
    status, *value = result
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        _, name = nvrtc.nvrtcGetErrorString(status)
        raise _compile_error(f"NVRTC failed: {name.decode()}")
    return value[0] if value else None


def _log(nvrtc: ModuleType, program: Any) -> str:
    log = bytearray(_value(nvrtc, nvrtc.nvrtcGetProgramLogSize(program)))
    _value(nvrtc, nvrtc.nvrtcGetProgramLog(program, log))
    return log.rstrip(b"\0\n").decode(errors="replace")


def _compile_error(found: str) -> CompileError:
    return CompileError(
        found,
        expected=f"a kernel that compiles for each of sm_{', sm_'.join(TARGETS)}",
        next_step="pip install --upgrade nvidia-cuda-nvrtc  (or repair the .cu file named above)",
    )
