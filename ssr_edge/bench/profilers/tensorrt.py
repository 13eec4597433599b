"""Profiles a TensorRT engine by the times that it reports of its layers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ssr_edge.bench.blocks import block_of, graph_blocks
from ssr_edge.bench.layers import LayerTime, Profile, median_layers
from ssr_edge.bench.profilers.calls import one_at_a_time
from ssr_edge.bundle import Bundle, model_file
from ssr_edge.manifest import EngineEntry
from ssr_edge.preprocess import Image
from ssr_edge.runners.tensorrt import TensorRtRunner


def profile_tensorrt(bundle: Bundle, runtime: str, precision: str, images: Image, calls: int) -> Profile:
    """See `profile_engine`. runtime: `tensorrt` or `tensorrt-rtx`. What a layer was computed in is not told.

    Raises:
        RuntimeUnavailable, BundleError: as TensorRtRunner.
    """
    import onnx

    model = onnx.load(bundle.file(model_file(precision)))
    known, kinds = graph_blocks(model), {node.name: node.op_type for node in model.graph.node}
    with _ProfiledRunner(bundle, runtime, precision) as runner:

        def call(image: Image) -> list[LayerTime]:
            runner.layer_times.clear()
            runner.infer(image)
            return [
                LayerTime(name, _kind(name, kinds), block_of(name, known), ms, "") for name, ms in runner.layer_times
            ]

        return median_layers(one_at_a_time(call, images, calls))


class _ProfiledRunner(TensorRtRunner):
    """An engine of which each call leaves its layers' names and milliseconds in `layer_times`."""

    def __init__(self, bundle: Bundle, runtime: str, precision: str) -> None:
        self.runtime = runtime
        self.layer_times: list[tuple[str, float]] = []
        super().__init__(bundle, precision)

    def _runtime_config(self, trt: Any, engine: Any) -> tuple[Any, Any]:
        # What runs as one CUDA graph reports no layers.
        return None, None

    def _load(self, trt: Any, entry: EngineEntry, path: Path) -> None:
        # Here it is kept until every context is gone, which knows it by its address.
        self._listener = _listener(trt, self.layer_times)
        super()._load(trt, entry, path)
        for slot in self._slots:
            slot.report_layers(self._listener)


def _listener(trt: Any, times: list[tuple[str, float]]) -> Any:
    class Listener(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            times.append((layer_name, float(ms)))

    return Listener()


def _kind(layer: str, kinds: dict[str, str]) -> str:
    """The operation of the first ONNX node in a layer's name; of what TensorRT adds by itself, its first word."""
    words = re.findall(r"[\w./]+", layer)
    return next((kinds[word] for word in words if word in kinds), words[0] if words else "")
