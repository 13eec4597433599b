"""Runs a bundle on any CPU through OpenVINO: the embedded default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssr_edge.bundle import Bundle, model_file
from ssr_edge.errors import RuntimeUnavailable
from ssr_edge.preprocess import Image
from ssr_edge.runners.base import Outputs, Runner

if TYPE_CHECKING:
    import openvino

RUNTIME = "openvino"
MAX_BATCH = 64


def compile_options(precision: str) -> dict[str, Any]:
    """OpenVINO's options for an engine of a precision.

    It would compute an FP32 model in BF16 wherever the CPU has it; an engine named fp32 must be FP32.
    """
    hint = "bf16" if precision == "bf16" else "f32"
    return {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}


def check_cpu(core: openvino.Core, precision: str) -> None:
    """Refuses a precision that this CPU would only pretend to compute in.

    Raises:
        RuntimeUnavailable: bf16 on a CPU without it.
    """
    if precision == "bf16" and not has_bf16(core):
        raise RuntimeUnavailable(
            f"{cpu_name(core)} has no BF16",
            expected="a CPU with AVX512_BF16 or AMX for --precision bf16",
            next_step="ssr-edge infer --precision fp32",
        )


def has_bf16(core: openvino.Core) -> bool:
    """Whether this CPU computes in BF16 faster than in FP32."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def openvino_core() -> openvino.Core:
    """OpenVINO's entry point.

    Raises:
        RuntimeUnavailable: the package is missing.
    """
    try:
        import openvino
    except ImportError as error:
        raise RuntimeUnavailable(
            f"OpenVINO can't be imported: {error}", expected="the package openvino", next_step="pip install openvino"
        ) from error
    return openvino.Core()


def openvino_version() -> str:
    """Short version, e.g. `2026.4.1`: what an exported engine is tied to."""
    import openvino

    return str(openvino.__version__).split("-")[0]


class OpenVinoRunner(Runner):
    """Loads the bundle's engine if it was built for this OpenVINO and this CPU, else compiles the ONNX file."""

    def __init__(self, bundle: Bundle, precision: str, slots: int = 1) -> None:
        self._core = openvino_core()
        check_cpu(self._core, precision)
        self.runtime, self.precision, self.slots, self.max_batch = RUNTIME, precision, slots, MAX_BATCH
        self.version, self.device = openvino_version(), cpu_name(self._core)
        self._compiled = self._load(bundle)
        self._outputs = [output.any_name for output in self._compiled.outputs]
        self._free = [self._compiled.create_infer_request() for _ in range(slots)]
        self._open: dict[int, Any] = {}
        self._tickets = 0

    def submit(self, images: Image) -> int:
        """See Runner."""
        request = self._free.pop()
        request.start_async({0: images}, share_inputs=True)
        self._tickets += 1
        # The array is kept too: its memory is what the engine reads.
        self._open[self._tickets] = (request, images)
        return self._tickets

    def collect(self, ticket: int) -> Outputs:
        """See Runner."""
        request, _ = self._open.pop(ticket)
        request.wait()
        # Copies: the next call overwrites the request's own.
        found = {name: np.array(request.get_tensor(name).data, np.float32) for name in self._outputs}
        self._free.append(request)
        return Outputs(found["logits"], found["probabilities"], found.get("cam"))

    def close(self) -> None:
        """See Runner."""
        self._free.clear()
        self._open.clear()
        del self._compiled

    def _load(self, bundle: Bundle) -> openvino.CompiledModel:
        entry, options = bundle.engine(RUNTIME, self.precision), compile_options(self.precision)
        if entry is not None and (entry.version, entry.device) == (self.version, self.device):
            self.origin = entry.file
            # The options are given again: a blob does not carry them, and BF16 would come back.
            return self._core.import_model(bundle.file(entry.file).read_bytes(), "CPU", options)
        self.origin = f"compiled from {model_file(self.precision)}"
        return self._core.compile_model(str(bundle.file(model_file(self.precision))), "CPU", options)


def cpu_name(core: openvino.Core) -> str:
    """The CPU's name as OpenVINO gives it."""
    return str(core.get_property("CPU", "FULL_DEVICE_NAME")).strip()
