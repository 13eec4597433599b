"""Profiles OpenVINO with its performance counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssr_edge.bench.profile.blocks import block_of, graph_blocks
from ssr_edge.bench.profile.layers import LayerTime, Profile, median_layers, precision_of
from ssr_edge.bench.profile.runtimes.calls import one_at_a_time
from ssr_edge.bundle.bundle import Bundle, model_file
from ssr_edge.images.preprocess import Image
from ssr_edge.runners.openvino.core import check_cpu, openvino_core
from ssr_edge.runners.openvino.runner import compile_network

if TYPE_CHECKING:
    import openvino


def profile_openvino(bundle: Bundle, precision: str, images: Image, calls: int) -> Profile:
    """See `profile_engine`. Recompiles the ONNX file for one image per call: an exported engine has no counters.

    Raises:
        RuntimeUnavailable: OpenVINO is missing, or the CPU lacks the precision. BundleError: no such model.
    """
    import onnx

    core = openvino_core()
    check_cpu(core, precision)
    path = bundle.file(model_file(precision))
    compiled = compile_network(core, path, precision, batch=1, PERF_COUNT=True)
    blocks = _blocks(compiled, graph_blocks(onnx.load(path)))
    request = compiled.create_infer_request()

    def call(image: Image) -> list[LayerTime]:
        request.infer({0: image})
        return [
            LayerTime(
                layer.node_name,
                layer.node_type,
                blocks.get(layer.node_name) or block_of(layer.node_name, {}, layer.node_type),
                layer.real_time.total_seconds() * 1000,
                precision_of(layer.exec_type),
            )
            for layer in request.profiling_info
            if layer.status == layer.Status.EXECUTED
        ]

    return median_layers(one_at_a_time(call, images, calls))


def _blocks(compiled: openvino.CompiledModel, known: dict[str, str]) -> dict[str, str]:
    """Block of each OpenVINO layer, from the names of all nodes fused into it."""
    blocks = {}
    for layer in compiled.get_runtime_model().get_ops():
        facts = layer.get_rt_info()
        name = layer.get_friendly_name()
        # Layers added by OpenVINO, such as Reorder, have no original node.
        original = facts["originalLayersNames"].astype(str) or name
        blocks[name] = block_of(original, known, facts["layerType"].astype(str))
    return blocks
