"""Comments in config.pbtxt and lines in the terminal: a model's origin and requirements."""

from __future__ import annotations

from ssr_edge.bench.report.schema import BenchFile
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.triton.batching import Batching, how_to_measure
from ssr_edge.triton.config import batch_limits
from ssr_edge.triton.containers import container_messages
from ssr_edge.triton.files import weight_bits
from ssr_edge.triton.models import ServedModel


def heading(bundle: Bundle, model: ServedModel) -> list[str]:
    """Origin of the model, and its input format."""
    manifest = bundle.manifest
    return [
        f"Written by ssr-edge triton from {model.source} of {manifest.name}, {manifest.created}. Decision support for "
        "research, not a medical device.",
        "Input: BGR as decoded by OpenCV, area-resized to 224x224, 0 to 255; normalized inside. labels.txt: BreaKHis "
        "classes.",
    ]


def runtime_messages(model: ServedModel) -> list[str]:
    """Requirements on the server."""
    if model.engine is not None:
        return container_messages(model.engine)
    if model.runtime == "onnxruntime":
        return ["ONNX Runtime on the CPU: any container; for the CUDA provider change KIND_CPU to KIND_GPU"]
    lines = ["OpenVINO on the CPU: an x86 container, 24.03 or later; a request is one call, with any number of images"]
    if model.precision != "bf16":
        lines.append(
            "on servers with BF16, OpenVINO computes FP32 operations in BF16, which Triton's backend can't disable; "
            "ONNX Runtime does not"
        )
    if model.precision == "int8" and weight_bits() == 7:
        lines.append(
            "7-bit weights, because this CPU has no VNNI: correct on any server, slightly less accurate with VNNI"
        )
    elif model.precision == "int8":
        lines.append(
            "8-bit weights: correct only on servers with VNNI, like this CPU; for servers without, run ssr-edge triton "
            "on a CPU without VNNI"
        )
    return lines


def batching_messages(
    bundle: Bundle, model: ServedModel, batching: Batching | None, bench: BenchFile | None
) -> list[str]:
    """The settings of the server's dynamic batcher, and the measurement behind them."""
    least, most = batch_limits(model)
    if most <= 1:
        return []
    lines = [f"a plan for at least {least} images per call: smaller requests fail"] if least > 1 else []
    how = how_to_measure(str(bundle.path), model.runtime, model.precision)
    if bench is None:
        return [
            *lines,
            f"no batch sizes and no maximum wait, because nothing was measured: {how}, then --bench bench.json",
        ]
    if batching is None:
        return [*lines, f"no batch sizes and no maximum wait: the bench.json has no {model.bench_name}: {how}"]
    device = bench.engines[model.bench_name].device
    measured = f"{batching.why}; measured {bench.created} on {device}"
    if bench.disturbed:
        measured += ", disturbed by other programs: measure again on an idle machine"
    if not batching.preferred:
        return [*lines, f"no batch sizes and no maximum wait: {measured}"]
    sizes = ", ".join(map(str, batching.preferred))
    return [*lines, f"batches of {sizes}; maximum wait of a request {batching.delay_us} us: {measured}"]
