"""Profiles ONNX Runtime from its trace file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from ssr_edge.bench.profile.blocks import block_of, graph_blocks
from ssr_edge.bench.profile.layers import LayerTime, Profile, median_layers, precision_of
from ssr_edge.bench.profile.runtimes.calls import WARM_UP_CALLS, one_at_a_time
from ssr_edge.bundle.bundle import Bundle, model_file
from ssr_edge.images.preprocess import Image
from ssr_edge.runners.onnxruntime import import_onnxruntime

_SUFFIX = "_kernel_time"


def profile_onnxruntime(bundle: Bundle, precision: str, images: Image, calls: int) -> Profile:
    """See `profile_engine`.

    Raises:
        RuntimeUnavailable: ONNX Runtime is missing. BundleError: no such model.
    """
    import onnx

    onnxruntime = import_onnxruntime()
    path = bundle.file(model_file(precision))
    known = graph_blocks(onnx.load(path))
    with tempfile.TemporaryDirectory(prefix="ssr-edge-profile-") as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "trace")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        one_at_a_time(lambda image: session.run(None, {"images": image}), images, calls)
        trace = json.loads(Path(session.end_profiling()).read_bytes())
    return median_layers(_by_call(trace, known, calls))


def _by_call(trace: list[dict[str, Any]], known: dict[str, str], calls: int) -> list[list[LayerTime]]:
    """Nodes of each call. Every call, including warm-up, runs the same nodes."""
    nodes = sorted((event for event in trace if event.get("cat") == "Node"), key=lambda event: event["ts"])
    each = len(nodes) // (WARM_UP_CALLS + calls)
    layers = [_layer(event, known) for event in nodes[WARM_UP_CALLS * each :]]
    return [layers[start : start + each] for start in range(0, len(layers), each)]


def _layer(event: dict[str, Any], known: dict[str, str]) -> LayerTime:
    name, kind = event["name"].removesuffix(_SUFFIX), event["args"]["op_name"]
    # One entry per input: {type: shape}.
    types = [word for given in event["args"].get("input_type_shape", []) for word in given]
    precision = precision_of(types[0]) if types else ""
    return LayerTime(name, kind, block_of(name, known, kind), event["dur"] / 1000, precision)
