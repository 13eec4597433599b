"""Profiles a TensorRT engine with its own layer profiler."""

from __future__ import annotations

import re

from ssr_edge.bench.profile.blocks import block_of, graph_blocks
from ssr_edge.bench.profile.layers import LayerTime, Profile, median_layers
from ssr_edge.bench.profile.runtimes.calls import one_at_a_time
from ssr_edge.bundle.bundle import Bundle, model_file
from ssr_edge.images.preprocess import Image
from ssr_edge.runners.tensorrt.profiled import ProfiledTensorRtRunner

# Name prefix of a layer that changes a layout or a type, followed by the layer it serves.
_REFORMAT = "Reformatting"


def profile_tensorrt(bundle: Bundle, runtime: str, precision: str, images: Image, calls: int) -> Profile:
    """See `profile_engine`. runtime: `tensorrt` or `tensorrt-rtx`. TensorRT does not report a layer's precision.

    Raises:
        RuntimeUnavailable, BundleError: as TensorRtRunner.
    """
    import onnx

    model = onnx.load(bundle.file(model_file(precision)))
    known, kinds = graph_blocks(model), {node.name: node.op_type for node in model.graph.node}
    with ProfiledTensorRtRunner(bundle, runtime, precision) as runner:

        def call(image: Image) -> list[LayerTime]:
            runner.layer_times.clear()
            runner.infer(image)
            return [
                LayerTime(name, _kind(name, kinds), block_of(name, known), ms, "") for name, ms in runner.layer_times
            ]

        return median_layers(one_at_a_time(call, images, calls))


def _kind(layer: str, kinds: dict[str, str]) -> str:
    """Operation of the first ONNX node in a layer's name; the first word for layers added by TensorRT."""
    words: list[str] = re.findall(r"[\w./]+", layer) or [""]
    if words[0] == _REFORMAT:
        return words[0]
    return next((kinds[word] for word in words if word in kinds), words[0])
