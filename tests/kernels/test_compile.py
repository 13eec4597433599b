"""Every kernel compiles for every target, and a compiler error reaches the user with the compiler's words."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ssr_edge.common.errors import BuildError, RuntimeUnavailable
from ssr_kernels.compile import CAM_OVERLAY, HERE, RESIZE_AREA, TARGETS, compile_kernel

ELF_FOR_CUDA = 190


def test_no_kernel_is_left_out() -> None:
    assert sorted(HERE.glob("*.cu")) == sorted([CAM_OVERLAY, RESIZE_AREA])


@pytest.mark.parametrize("capability", TARGETS)
@pytest.mark.parametrize("source", [RESIZE_AREA, CAM_OVERLAY], ids=lambda source: source.stem)
def test_compiles_for_every_target(source: Path, capability: str) -> None:
    cubin = compile_kernel(source, capability)
    assert cubin[:4] == b"\x7fELF"
    assert int.from_bytes(cubin[18:20], "little") == ELF_FOR_CUDA
    assert cubin[49] == int(capability)  # the flags' second byte holds the architecture
    assert source.stem.encode() in cubin


def test_compiler_log_is_shown(tmp_path: Path) -> None:
    broken = tmp_path / "broken.cu"
    broken.write_text('#include "pixel.cuh"\nextern "C" __global__ void broken() { absent(); }\n')
    with pytest.raises(BuildError) as caught:
        compile_kernel(broken, "87")
    assert "broken.cu doesn't compile for sm_87" in caught.value.found
    assert 'broken.cu(2): error: identifier "absent" is undefined' in caught.value.found


def test_unknown_capability() -> None:
    with pytest.raises(BuildError) as caught:
        compile_kernel(RESIZE_AREA, "999")
    assert "invalid value for --gpu-architecture" in caught.value.found
    assert "sm_87" in caught.value.expected


def test_missing_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.nvrtc", None)
    compile_kernel.cache_clear()
    with pytest.raises(RuntimeUnavailable) as caught:
        compile_kernel(RESIZE_AREA, "87")
    assert "cuda-bindings" in caught.value.next_step
