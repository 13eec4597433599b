"""Shared by the GPU tests: the available runtimes, and the demo's bundle with engines built on this GPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.machine.gpu import find_gpu
from ssr_edge.runners.tensorrt.cuda import Cuda, open_cuda
from ssr_edge.runners.tensorrt.engine import import_tensorrt

# The compute capabilities that TensorRT for RTX 1.7 supports.
RTX_GPUS = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
PRECISIONS = ("fp32", "fp16", "int8")


@pytest.fixture(scope="session")
def cuda() -> Cuda:
    if find_gpu() is None:
        pytest.skip("no NVIDIA GPU")
    try:
        return open_cuda("tensorrt")
    except RuntimeUnavailable as error:
        pytest.skip(error.found)


@pytest.fixture
def driver(cuda: Cuda) -> Iterator[Any]:
    """`pycuda.driver`, with its primary context current."""
    with cuda.current():
        yield cuda.driver


@pytest.fixture(scope="session", params=["tensorrt", "tensorrt-rtx"])
def runtime(request: pytest.FixtureRequest, cuda: Cuda) -> str:
    gpu = find_gpu()
    if request.param == "tensorrt-rtx" and gpu is not None and gpu.compute_capability not in RTX_GPUS:
        pytest.skip(f"TensorRT for RTX has no kernels for {gpu.name}")
    try:
        import_tensorrt(request.param)
    except RuntimeUnavailable as error:
        pytest.skip(error.found)
    return str(request.param)


@pytest.fixture(scope="session")
def demo_bundle(runtime: str, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of `ssr-edge build-engine --runtime RUNTIME` for the demo weights; every engine must pass the gate."""
    from ssr_edge.demo import DEMO_CHECKPOINT
    from ssr_export.build_bundle import build_bundle
    from ssr_export.engines.build import EngineRequest
    from ssr_export.plan import BundlePlan

    engines = tuple(EngineRequest(runtime, precision) for precision in PRECISIONS)  # type: ignore[arg-type]
    return build_bundle(BundlePlan(DEMO_CHECKPOINT, tmp_path_factory.mktemp("bundles") / "demo", engines, "mse"), print)
