"""Opens an engine with its runtime's profiler enabled and times its layers."""

from __future__ import annotations

from pathlib import Path

from ssr_edge.bench.measure.engines import EngineSpec
from ssr_edge.bench.profile.layers import Profile
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.images.preprocess import Image


def profile_engine(spec: EngineSpec, images: Image, calls: int) -> Profile:
    """Runs an engine `calls` times with one image per call and returns the time of each layer.

    images: uint8 BGR [n, 224, 224, 3], n >= 1, used in turn. Each runtime is imported only when profiled.

    Raises:
        RuntimeUnavailable, BundleError, CheckpointError: like the engine's runner.
    """
    if spec.runtime in ("torch", "torch-folded"):
        from ssr_train.profile import profile_torch

        assert spec.arch is not None
        checkpoint = None if spec.checkpoint is None else Path(spec.checkpoint)
        return profile_torch(spec.arch, checkpoint, spec.runtime, images, calls)
    if spec.runtime == "torch-compile":
        raise RuntimeUnavailable(
            "torch.compile fuses the network into one function, whose layers can't be timed",
            expected="an engine with layers",
            next_step="ssr-edge bench --layers --runtime torch-folded",
        )
    if spec.bundle is None:
        raise RuntimeUnavailable(
            "the layers of a served model can't be profiled",
            expected="an engine on this machine",
            next_step="ssr-edge bench --layers  (on the server's machine)",
        )
    bundle = Bundle.open(Path(spec.bundle))
    if spec.runtime == "openvino":
        from ssr_edge.bench.profile.runtimes.openvino import profile_openvino

        return profile_openvino(bundle, spec.precision, images, calls)
    if spec.runtime == "onnxruntime":
        from ssr_edge.bench.profile.runtimes.onnxruntime import profile_onnxruntime

        return profile_onnxruntime(bundle, spec.precision, images, calls)
    from ssr_edge.bench.profile.runtimes.tensorrt import profile_tensorrt

    return profile_tensorrt(bundle, spec.runtime, spec.precision, images, calls)
