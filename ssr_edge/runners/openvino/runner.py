"""Runs a bundle on any CPU with OpenVINO, the default on embedded devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssr_edge.bundle.bundle import Bundle, model_file
from ssr_edge.images.preprocess import Image
from ssr_edge.runners.base import Outputs, Runner
from ssr_edge.runners.openvino.core import check_cpu, cpu_name, openvino_core, openvino_version
from ssr_edge.runners.openvino.saturation import int8_saturates, seven_bit_weights

if TYPE_CHECKING:
    import onnx
    import openvino

RUNTIME = "openvino"
MAX_BATCH = 64
# Our own option among OpenVINO's: marks engines with narrowed weights.
WEIGHT_BITS = "WEIGHT_BITS"


def compile_options(precision: str) -> dict[str, Any]:
    """OpenVINO's options for a precision.

    By default OpenVINO runs FP32 models in BF16 on CPUs that support it; an engine named fp32 must compute in FP32.
    """
    hint = "bf16" if precision == "bf16" else "f32"
    return {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}


def compile_network(
    core: openvino.Core, model: Path | onnx.ModelProto, precision: str, batch: int | None = None, **properties: Any
) -> openvino.CompiledModel:
    """Compiles an ONNX model for this CPU, read by `read_network`.

    batch: the fixed number of images per call; None for any. properties: OpenVINO properties in addition to
    `compile_options`.
    """
    read = read_network(core, model, precision)
    if batch is not None:
        read.reshape([batch, *list(read.input(0).partial_shape)[1:]])
    return core.compile_model(read, "CPU", compile_options(precision) | properties)


def read_network(core: openvino.Core, model: Path | onnx.ModelProto, precision: str) -> openvino.Model:
    """Reads an ONNX model for this CPU, with 7-bit weights if INT8 sums would overflow (see `saturation`)."""
    if precision == "int8" and int8_saturates():
        import onnx

        model = seven_bit_weights(onnx.load(model) if isinstance(model, Path) else model)
    return core.read_model(str(model) if isinstance(model, Path) else model.SerializeToString())


class OpenVinoRunner(Runner):
    """Loads the bundle's engine if it was built for this OpenVINO version and this CPU, else compiles the ONNX file."""

    def __init__(self, bundle: Bundle, precision: str, slots: int = 1, threads: int | None = None) -> None:
        self._core = openvino_core()
        check_cpu(self._core, precision)
        self.runtime, self.precision, self.slots, self.max_batch = RUNTIME, precision, slots, MAX_BATCH
        self.version, self.device = openvino_version(), cpu_name(self._core)
        self._options, self._threads = engine_options(precision), thread_options(threads)
        if WEIGHT_BITS in self._options:
            self.device += ", 7-bit weights (no VNNI)"
        self._compiled = self._load(bundle)
        self.threads = int(self._compiled.get_property("INFERENCE_NUM_THREADS"))
        self._outputs = [output.any_name for output in self._compiled.outputs]
        self._free = [self._compiled.create_infer_request() for _ in range(slots)]
        self._open: dict[int, Any] = {}
        self._tickets = 0

    def submit(self, images: Image) -> int:
        """See Runner."""
        request = self._free.pop()
        request.start_async({0: images}, share_inputs=True)
        self._tickets += 1
        # Keep the array: the engine reads its memory.
        self._open[self._tickets] = (request, images)
        return self._tickets

    def collect(self, ticket: int) -> Outputs:
        """See Runner."""
        request, _ = self._open.pop(ticket)
        request.wait()
        # Copies: the next call overwrites the request's tensors.
        found = {name: np.array(request.get_tensor(name).data, np.float32) for name in self._outputs}
        self._free.append(request)
        return Outputs(found["logits"], found["probabilities"], found.get("cam"))

    def close(self) -> None:
        """See Runner."""
        self._free.clear()
        self._open.clear()
        del self._compiled

    def _load(self, bundle: Bundle) -> openvino.CompiledModel:
        entry, here = bundle.engine(RUNTIME, self.precision), (self.version, cpu_name(self._core), self._options)
        if entry is not None and (entry.version, entry.device, entry.options) == here:
            self.origin = entry.file
            # A blob does not store the options; without them BF16 would be enabled again.
            blob = bundle.file(entry.file).read_bytes()
            return self._core.import_model(blob, "CPU", compile_options(self.precision) | self._threads)
        self.origin = f"compiled from {model_file(self.precision)}"
        return compile_network(self._core, bundle.file(model_file(self.precision)), self.precision, **self._threads)


class OpenVinoSingleRunner(OpenVinoRunner):
    """Compiles the ONNX file for one image per call: about 3 % faster than an engine with a dynamic batch."""

    def __init__(self, bundle: Bundle, precision: str, slots: int = 1, threads: int | None = None) -> None:
        super().__init__(bundle, precision, slots, threads)
        self.max_batch = 1

    def _load(self, bundle: Bundle) -> openvino.CompiledModel:
        self.origin = f"compiled from {model_file(self.precision)} for one image per call"
        network = bundle.file(model_file(self.precision))
        return compile_network(self._core, network, self.precision, batch=1, **self._threads)


def engine_options(precision: str) -> dict[str, Any]:
    """The compile options on this CPU, for the manifest entry; an engine with other options is not used.

    The CPU name is not enough: virtual machines report the same name with and without VNNI.
    """
    return compile_options(precision) | ({WEIGHT_BITS: "7"} if precision == "int8" and int8_saturates() else {})


def thread_options(threads: int | None) -> dict[str, Any]:
    """OpenVINO's options for an engine that shares the CPU with others; empty if it has all cores.

    Threads are not pinned to cores: each process would pin its threads to the first cores.
    """
    return {} if threads is None else {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
