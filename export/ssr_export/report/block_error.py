"""Measures the INT8 error of each block on its FP32 input, for weights and activations separately and together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from ssr_edge.bundle.histograms import Histograms
from ssr_edge.bundle.manifest import BlockQuantization, QuantizationError, QuantizationReport, QuantizedTensor
from ssr_edge.common.progress import progress
from ssr_edge.images.preprocess import Image
from ssr_edge.runners.onnxruntime import import_onnxruntime
from ssr_export.int8.histogram import MagnitudeHistogram, not_finite
from ssr_export.int8.quantize import BiasErrors, is_quantized_conv, quantization_points, quantize
from ssr_export.onnx.blocks import GraphBlock, cut, find_blocks, given
from ssr_export.report.error_sums import ErrorSums
from ssr_export.report.tensor_statistics import ActivationStatistics, for_plotting, weight_statistics

# Activations are held for one batch only, so memory does not grow with the images.
_BATCH = 2
_LOGITS = "logits"
_Tensors = Mapping[str, npt.NDArray[np.float32]]


def measure_quantization(
    model: onnx.ModelProto, ranges: Mapping[str, float], images: Image, bias_errors: BiasErrors | None = None
) -> tuple[QuantizationReport, Histograms]:
    """Compares the FP32 model with its quantized forms on real images.

    ranges, bias_errors: as for `quantize`; bias_errors apply if both weights and activations are quantized. images:
    uint8 BGR [n, 224, 224, 3], n >= 1. The error of a block is measured at its output, given the FP32 network's
    input, so that it excludes the errors of earlier blocks.

    Raises:
        ExportError: a range is unusable, or an activation is not finite.
    """
    blocks = find_blocks(model)
    activations = _activations(model, blocks, ranges)
    weights = _weights(model, blocks)
    variants = {
        "weights": _Variant(quantize(model, ranges, activations=False), blocks),
        "activations": _Variant(quantize(model, ranges, weights=False), blocks),
        "both": _Variant(quantize(model, ranges, bias_errors=bias_errors), blocks),
    }
    wanted = {tensor for block in blocks for tensor in (block.source, block.target)}
    exact = _Exact(model, [*sorted(wanted | {entry.tensor for entry in activations}), _LOGITS])
    with progress("measuring INT8 error, image", len(images)) as advance:
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            tensors = exact.run(batch)
            for entry in activations:
                _count(entry, tensors[entry.tensor])
            for variant in variants.values():
                variant.compare(batch, tensors)
            advance(len(batch), "")
    tensors_of = [(entry.result(), entry.histogram) for entry in activations] + weights
    report = QuantizationReport(
        images=len(images),
        logits=QuantizationError(**_errors(variants, _LOGITS)),
        blocks=[BlockQuantization(block=block.name, **_errors(variants, block.target)) for block in blocks],
        tensors=[entry for entry, _ in tensors_of],
    )
    return report, Histograms(tensors={entry.name: for_plotting(histogram) for entry, histogram in tensors_of})


class _Exact:
    """The FP32 model with its inner tensors as outputs."""

    def __init__(self, model: onnx.ModelProto, tensors: Sequence[str]) -> None:
        opened = onnx.ModelProto()
        opened.CopyFrom(model)
        del opened.graph.output[:]
        opened.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in tensors)
        self._tensors, self._session = tensors, _session(opened)

    def run(self, images: Image) -> _Tensors:
        return dict(zip(self._tensors, self._session.run(self._tensors, {"images": images}), strict=True))


class _Variant:
    """A quantized form of the model, end to end and split into blocks, with the error sums of both."""

    def __init__(self, quantized: onnx.ModelProto, blocks: Sequence[GraphBlock]) -> None:
        self._sources = list(dict.fromkeys(block.source for block in blocks))
        self._targets = [block.target for block in blocks]
        self._whole = _session(quantized)
        self._blocks = _session(cut(quantized, self._sources, self._targets))
        self.sums = {tensor: ErrorSums() for tensor in (*self._targets, _LOGITS)}

    def compare(self, images: Image, exact: _Tensors) -> None:
        """Adds a batch. exact: the FP32 model's tensors for the same images."""
        found = self._blocks.run(self._targets, {given(name): exact[name] for name in self._sources})
        found += self._whole.run([_LOGITS], {"images": images})
        for tensor, values in zip((*self._targets, _LOGITS), found, strict=True):
            self.sums[tensor].add(exact[tensor], values)


def _session(model: onnx.ModelProto) -> Any:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    # With optimizations, ONNX Runtime deviates from the operators as written: 32.6 dB instead of 33.9 dB for the
    # activations of one block.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Seven sessions alternate: each must free its memory, and its threads must sleep instead of spinning.
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _errors(variants: Mapping[str, _Variant], tensor: str) -> dict[str, Any]:
    return {name: variant.sums[tensor].result() for name, variant in variants.items()}


def _activations(
    model: onnx.ModelProto, blocks: Sequence[GraphBlock], ranges: Mapping[str, float]
) -> list[ActivationStatistics]:
    convolutions = {node.name for node in model.graph.node if node.op_type == "Conv"}
    entries = []
    for point in quantization_points(model):
        block = _owner(blocks, point.consumer)
        # Additions have no descriptive name; their skip input is the output of the shortcut.
        name = f"{point.consumer}.input" if point.consumer in convolutions else f"{block}.shortcut.output"
        entries.append(ActivationStatistics(name, point.tensor, block, ranges[point.tensor]))
    return entries


def _weights(model: onnx.ModelProto, blocks: Sequence[GraphBlock]) -> list[tuple[QuantizedTensor, MagnitudeHistogram]]:
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    return [
        weight_statistics(
            f"{node.name}.weight",
            node.input[1],
            _owner(blocks, node.name),
            numpy_helper.to_array(constants[node.input[1]]),
        )
        for node in model.graph.node
        if is_quantized_conv(node)
    ]


def _owner(blocks: Sequence[GraphBlock], node: str) -> str:
    return next(block.name for block in blocks if node in block.nodes)


def _count(entry: ActivationStatistics, values: npt.NDArray[np.float32]) -> None:
    try:
        entry.add(values)
    except ValueError as error:
        raise not_finite(entry.name) from error
