"""The kernel compiles for every target, and a compile error includes the compiler's log."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ssr_kernels.compile import HERE, RESIZE_AREA, TARGETS, compile_kernel
from ssr_kernels.errors import CompileError, CompilerMissing

ELF_FOR_CUDA = 190


def test_no_kernel_is_left_out() -> None:
    assert sorted(HERE.glob("*.cu")) == [RESIZE_AREA]


@pytest.mark.parametrize("capability", TARGETS)
def test_compiles_for_every_target(capability: str) -> None:
    cubin = compile_kernel(RESIZE_AREA, capability)
    assert cubin[:4] == b"\x7fELF"
    assert int.from_bytes(cubin[18:20], "little") == ELF_FOR_CUDA
    assert cubin[49] == int(capability)  # the flags' second byte holds the architecture
    assert b"resize_area" in cubin


def test_compiler_log_is_shown(tmp_path: Path) -> None:
    broken = tmp_path / "broken.cu"
    broken.write_text('extern "C" __global__ void broken() { absent(); }\n')
    with pytest.raises(CompileError) as caught:
        compile_kernel(broken, "87")
    assert "sm_87" in caught.value.found
    assert 'broken.cu(1): error: identifier "absent" is undefined' in caught.value.found


def test_unknown_capability() -> None:
    with pytest.raises(CompileError) as caught:
        compile_kernel(RESIZE_AREA, "999")
    assert "--gpu-architecture" in caught.value.found
    assert "sm_87" in caught.value.expected


def test_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.nvrtc", None)
    compile_kernel.cache_clear()
    with pytest.raises(CompilerMissing) as caught:
        compile_kernel(RESIZE_AREA, "87")
    assert "cuda-bindings" in caught.value.next_step
