"""Opens an engine anew with its runtime's profiling on, and takes the times of its layers."""

from __future__ import annotations

from pathlib import Path

from ssr_edge.bench.measure.engines import EngineSpec
from ssr_edge.bench.profile.layers import Profile
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.images.preprocess import Image


def profile_engine(spec: EngineSpec, images: Image, calls: int) -> Profile:
    """Runs an engine `calls` times, one image a call, and says what each of its layers took.

    images: uint8 BGR [n, 224, 224, 3], at least one; they are given in turn. Each runtime is imported only here.

    Raises:
        RuntimeUnavailable, BundleError, CheckpointError: as the runner does that runs the engine.
    """
    if spec.runtime in ("torch", "torch-folded"):
        from ssr_train.profile import profile_torch

        assert spec.arch is not None
        checkpoint = None if spec.checkpoint is None else Path(spec.checkpoint)
        return profile_torch(spec.arch, checkpoint, spec.runtime, images, calls)
    if spec.runtime == "torch-compile":
        raise RuntimeUnavailable(
            "torch.compile makes one function of the network, whose layers can't be timed",
            expected="an engine with layers",
            next_step="ssr-edge bench --layers --runtime torch-folded",
        )
    if spec.bundle is None:
        raise RuntimeUnavailable(
            "a served model's layers are out of reach",
            expected="an engine on this machine",
            next_step="ssr-edge bench --layers  (where the server runs)",
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
