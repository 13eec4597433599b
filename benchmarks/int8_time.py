"""Times variants of OpenVINO's INT8 engine against the default on this machine.

    python benchmarks/int8_time.py BUNDLE

Prints the table of docs/measurements/int8_time.md: for each variant the median ms per image and the speed-up over the
default, paired by round, with its 95 % interval. Variants take turns in one process, which is safe because OpenVINO's
threads sleep as soon as a call is done. Labels are compared with the default's on the sample images.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from ssr_edge.bench.measure.statistics import paired_speedup
from ssr_edge.bundle.bundle import Bundle, model_file
from ssr_edge.demo import DEMO_IMAGES
from ssr_edge.images.preprocess import Image, load_first
from ssr_edge.runners.openvino.core import openvino_core
from ssr_edge.runners.openvino.runner import compile_options
from ssr_edge.runners.openvino.saturation import int8_saturates, seven_bit_weights
from ssr_edge.sources.paths import find_sources
from ssr_export.int8.quantize import quantize_weight

ROUNDS, CALLS, WARM_UP = 12, 8, 5
IMAGES = 16
Rewrite = Callable[[onnx.ModelProto], onnx.ModelProto]


@dataclass(frozen=True)
class Variant:
    """Name in the table, options added to the default's, and the rewrite applied to the model before compilation."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    rewrite: Rewrite = lambda model: model
    static: bool = False


def variants(bundle: Bundle, images: Image) -> Iterator[Variant]:
    """All variants, the default first."""
    yield Variant("default")
    yield Variant("default, again")
    yield Variant("hint THROUGHPUT, one stream", {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": 1})
    yield Variant("hint CUMULATIVE_THROUGHPUT", {"PERFORMANCE_HINT": "CUMULATIVE_THROUGHPUT"})
    yield Variant("one thread", {"INFERENCE_NUM_THREADS": 1})
    yield Variant("threads pinned", {"ENABLE_CPU_PINNING": True})
    yield Variant("threads not pinned", {"ENABLE_CPU_PINNING": False})
    yield Variant("shape fixed at one image", static=True)
    yield Variant("layout: float NCHW input, cast and transposed outside", rewrite=_float_planes, static=True)
    yield Variant("attention product quantized on both inputs", rewrite=_quantized_product(bundle, images))
    yield Variant("attention convolutions quantized", rewrite=_quantized_attention(bundle, images))
    yield Variant("without the attention product (a different network)", rewrite=_without_product)
    yield Variant("skip inputs of additions in floating point", rewrite=_float_skips)
    yield Variant("non-quantized layers in BF16", {"INFERENCE_PRECISION_HINT": "bf16"})
    if int8_saturates():
        yield Variant("8-bit weights, whose sums saturate here", rewrite=_eight_bits(bundle))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    bundle = Bundle.open(parser.parse_args().bundle)
    images = np.stack(load_first(find_sources(str(DEMO_IMAGES)), IMAGES))
    requests, failed = {}, {}
    for variant in variants(bundle, images):
        try:
            requests[variant.name] = _compile(bundle, variant)
        except RuntimeError as error:
            failed[variant.name] = str(error).strip().splitlines()[-1]
    times = _measure(requests, images)
    labels = {name: _labels(request, images) for name, request in requests.items()}
    print("| variant | ms | speed-up over the default [95 %] | labels equal to the default |\n|---|---|---|---|")
    for name, rounds in times.items():
        ratio = paired_speedup(times["default"], rounds, seed=0)
        same = int((labels[name] == labels["default"]).sum())
        ms = np.median([ms for turn in rounds for ms in turn])
        print(f"| {name} | {ms:.2f} | {ratio.ratio:.3f} [{ratio.low:.3f}, {ratio.high:.3f}] | {same} of {IMAGES} |")
    for name, why in failed.items():
        print(f"| {name} | refused: {why} | | |")


def _compile(bundle: Bundle, variant: Variant) -> Any:
    core = openvino_core()
    model = variant.rewrite(_default_model(bundle))
    read = core.read_model(model.SerializeToString())
    if variant.static:
        read.reshape([1, *list(read.input(0).partial_shape)[1:]])
    return core.compile_model(read, "CPU", compile_options("int8") | variant.options).create_infer_request()


def _default_model(bundle: Bundle) -> onnx.ModelProto:
    model = onnx.load(bundle.file(model_file("int8")))
    return seven_bit_weights(model) if int8_saturates() else model


def _measure(requests: dict[str, Any], images: Image) -> dict[str, list[list[float]]]:
    order = random.Random(0)
    times: dict[str, list[list[float]]] = {name: [] for name in requests}
    for turn in range(ROUNDS + 1):
        for name in order.sample(list(requests), len(requests)):
            # The first round is warm-up; so are the first calls of each turn, which refill the caches.
            spent = [_call(requests[name], images[number % len(images)]) for number in range(WARM_UP + CALLS)]
            if turn:
                times[name].append(spent[WARM_UP:])
    return times


def _call(request: Any, image: Image) -> float:
    given = _as_input(request, image)
    started = time.perf_counter()
    request.infer({0: given}, share_inputs=True)
    return (time.perf_counter() - started) * 1000


def _as_input(request: Any, image: Image) -> Any:
    if request.model_inputs[0].element_type.get_type_name() == "u8":
        return image[None]
    return np.ascontiguousarray(image[None].astype(np.float32).transpose(0, 3, 1, 2))


def _labels(request: Any, images: Image) -> Any:
    found = []
    for image in images:
        request.infer({0: _as_input(request, image)})
        found.append(int(request.get_tensor("logits").data.argmax()))
    return np.array(found)


def _float_planes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Removes the initial cast and transposition: the input becomes float32 [1, 3, 224, 224]."""
    nodes = list(model.graph.node)
    transpose = next(node for node in nodes if node.op_type == "Transpose")
    begun = {model.graph.input[0].name}
    dropped = []
    for node in nodes:
        if set(node.input) <= begun and node.op_type in ("Cast", "Transpose"):
            begun.update(node.output)
            dropped.append(node)
    for node in dropped:
        model.graph.node.remove(node)
    planes = helper.make_tensor_value_info(transpose.output[0], onnx.TensorProto.FLOAT, ["batch", 3, 224, 224])
    del model.graph.input[:]
    model.graph.input.append(planes)
    return model


def _is_product(node: onnx.NodeProto, model: onnx.ModelProto) -> bool:
    gates = {other.output[0] for other in model.graph.node if other.op_type == "Sigmoid"}
    return node.op_type == "Mul" and any(name in gates for name in node.input)


def _without_product(model: onnx.ModelProto) -> onnx.ModelProto:
    """Removes the attention product (the upper bound of its cost): its consumers read the convolution's output."""
    gates = {node.output[0] for node in model.graph.node if node.op_type == "Sigmoid"}
    for node in [node for node in model.graph.node if _is_product(node, model)]:
        features = next(name for name in node.input if name not in gates)
        for other in model.graph.node:
            for place, name in enumerate(other.input):
                if name == node.output[0]:
                    other.input[place] = features
        model.graph.node.remove(node)
    return _pruned(model)


def _float_skips(model: onnx.ModelProto) -> onnx.ModelProto:
    """Makes additions read their skip input before quantization."""
    sources = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    dequantized = {
        node.output[0]: sources[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in sources
    }
    for node in model.graph.node:
        if node.op_type == "Add":
            for place, name in enumerate(node.input):
                node.input[place] = dequantized.get(name, name)
    return _pruned(model)


def _pruned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Removes unused nodes."""
    while True:
        read = {name for node in model.graph.node for name in node.input} | {out.name for out in model.graph.output}
        idle = [node for node in model.graph.node if not read.intersection(node.output)]
        if not idle:
            return model
        for node in idle:
            model.graph.node.remove(node)


def _eight_bits(bundle: Bundle) -> Rewrite:
    return lambda model: onnx.load(bundle.file(model_file("int8")))


def _quantized_product(bundle: Bundle, images: Image) -> Rewrite:
    """Adds Q/DQ to the features and the gate (range 1) of each product."""

    def rewrite(model: onnx.ModelProto) -> onnx.ModelProto:
        products = [node for node in model.graph.node if _is_product(node, model)]
        return _with_pairs(model, {name for node in products for name in node.input}, bundle, images)

    return rewrite


def _quantized_attention(bundle: Bundle, images: Image) -> Rewrite:
    """Adds Q/DQ to inputs and weights of the attention's two convolutions."""

    def rewrite(model: onnx.ModelProto) -> onnx.ModelProto:
        convolutions = [n for n in model.graph.node if n.op_type == "Conv" and ".attention." in n.name]
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in convolutions:
            weight = onnx.numpy_helper.to_array(constants[node.input[1]])
            values, scale = quantize_weight(weight)
            if int8_saturates():
                values, scale = np.rint(values / 2).astype(np.int8), scale * 2
            name = node.input[1]
            for suffix, array in (("_int8", values), ("_scale", scale), ("_zero", np.zeros(len(scale), np.int8))):
                model.graph.initializer.append(onnx.numpy_helper.from_array(array, name + suffix))
            pair = helper.make_node(
                "DequantizeLinear", [f"{name}_int8", f"{name}_scale", f"{name}_zero"], [f"{name}_dq"], axis=0
            )
            model.graph.node.insert(list(model.graph.node).index(node), pair)
            node.input[1] = f"{name}_dq"
        return _with_pairs(model, {node.input[0] for node in convolutions}, bundle, images)

    return rewrite


def _with_pairs(model: onnx.ModelProto, tensors: set[str], bundle: Bundle, images: Image) -> onnx.ModelProto:
    """Inserts a Q/DQ pair before every consumer of these tensors. Ranges: the largest values on the images."""
    ranges = _largest(bundle, tensors, images)
    nodes = []
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name in tensors and node.op_type in ("Mul", "Conv"):
                node.input[place] = f"{name}_pair_dq"
        nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))
        for name in set(node.output) & tensors:
            constants = [f"{name}_pair_scale", f"{name}_pair_zero"]
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(ranges[name] / 127), constants[0]))
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.int8(0), constants[1]))
            nodes.append(helper.make_node("QuantizeLinear", [name, *constants], [f"{name}_pair_q"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"{name}_pair_q", *constants], [f"{name}_pair_dq"]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _largest(bundle: Bundle, tensors: set[str], images: Image) -> dict[str, float]:
    from ssr_edge.runners.onnxruntime import import_onnxruntime

    onnxruntime = import_onnxruntime()

    model = onnx.load(bundle.file(model_file("fp32")))
    known = {name for node in model.graph.node for name in node.output}
    wanted = sorted(tensors & known)
    for name in wanted:
        model.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(wanted, {model.graph.input[0].name: images})
    return {name: float(np.abs(values).max()) or 1.0 for name, values in zip(wanted, found, strict=True)}


if __name__ == "__main__":
    main()
