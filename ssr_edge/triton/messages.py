"""What a reader of config.pbtxt and of the terminal should know of a model: where it came from, and what it needs."""

from __future__ import annotations

from ssr_edge.bench.report.schema import BenchFile
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.triton.batching import Batching, how_to_measure
from ssr_edge.triton.config import batch_limits
from ssr_edge.triton.containers import container_messages
from ssr_edge.triton.files import weight_bits
from ssr_edge.triton.models import ServedModel


def heading(bundle: Bundle, model: ServedModel) -> list[str]:
    """What it is, and what its input must be."""
    manifest = bundle.manifest
    return [
        f"Written by ssr-edge triton from {model.source} of {manifest.name}, {manifest.created}. Decision support for "
        "research, not a medical device.",
        "Input: BGR as OpenCV gives it, area-resized to 224x224, 0 to 255; normalized inside. labels.txt: BreaKHis's "
        "classes.",
    ]


def runtime_messages(model: ServedModel) -> list[str]:
    """What the server must have."""
    if model.engine is not None:
        return container_messages(model.engine)
    if model.runtime == "onnxruntime":
        return ["ONNX Runtime on the CPU: any container; for its CUDA provider change KIND_CPU to KIND_GPU"]
    words = ["OpenVINO on the CPU: a container for x86, 24.03 or later; a request is one call, of any number of images"]
    if model.precision != "bf16":
        words.append(
            "on a server with BF16 OpenVINO computes in BF16 what is FP32 here; Triton's backend can't be told not to, "
            "and ONNX Runtime does not"
        )
    if model.precision == "int8" and weight_bits() == 7:
        words.append(
            "weights of 7 bits, for want of VNNI on this processor: right on any, a little less exact with VNNI"
        )
    elif model.precision == "int8":
        words.append(
            "weights of 8 bits: right on servers with VNNI, as here, and wrong without; for those run ssr-edge triton "
            "on such a processor"
        )
    return words


def batching_messages(
    bundle: Bundle, model: ServedModel, batching: Batching | None, bench: BenchFile | None
) -> list[str]:
    """What the server's dynamic batcher was told, and from which measurement."""
    least, most = batch_limits(model)
    if most <= 1:
        return []
    words = [f"a plan for no fewer than {least} images a call: smaller requests fail"] if least > 1 else []
    how = how_to_measure(str(bundle.path), model.runtime, model.precision)
    if bench is None:
        return [
            *words,
            f"no batch sizes and no waiting time, for they were not measured: {how}, then --bench bench.json",
        ]
    if batching is None:
        return [*words, f"no batch sizes and no waiting time: the bench.json has no {model.bench_name}: {how}"]
    device = bench.engines[model.bench_name].device
    measured = f"{batching.why}; measured {bench.created} on {device}"
    if bench.disturbed:
        measured += ", where other programs disturbed: measure again on a quiet machine"
    if not batching.preferred:
        return [*words, f"no batch sizes and no waiting time: {measured}"]
    sizes = ", ".join(map(str, batching.preferred))
    return [*words, f"batches of {sizes}; a request waits {batching.delay_us} us at most: {measured}"]
