"""Runs a bundle's ONNX file in ONNX Runtime: an independent numerical reference, not the fast path."""

from __future__ import annotations

from typing import Any

from ssr_edge.bundle.bundle import Bundle, model_file
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.common.telemetry import silence
from ssr_edge.images.preprocess import Image
from ssr_edge.machine.environment import usable_cores
from ssr_edge.runners.base import Outputs, Runner

RUNTIME = "onnxruntime"
MAX_BATCH = 64


def import_onnxruntime() -> Any:
    """The package, with telemetry off.

    Raises:
        RuntimeUnavailable: it is not installed.
    """
    silence()
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeUnavailable(
            f"ONNX Runtime can't be imported: {error}",
            expected="the package onnxruntime",
            next_step="pip install onnxruntime",
        ) from error
    return onnxruntime


class OnnxRuntimeRunner(Runner):
    """Synchronous: `submit` computes, `collect` returns the result."""

    def __init__(self, bundle: Bundle, precision: str, slots: int = 1, threads: int | None = None) -> None:
        onnxruntime = import_onnxruntime()
        self.runtime, self.precision, self.slots, self.max_batch = RUNTIME, precision, slots, MAX_BATCH
        self.version, self.device = onnxruntime.__version__, "CPU"
        self.origin, self.threads = model_file(precision), threads or usable_cores()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        self._session = onnxruntime.InferenceSession(
            bundle.file(self.origin), options, providers=["CPUExecutionProvider"]
        )
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._open: dict[int, Outputs] = {}
        self._tickets = 0

    def submit(self, images: Image) -> int:
        """See Runner."""
        found = dict(zip(self._outputs, self._session.run(self._outputs, {"images": images}), strict=True))
        self._tickets += 1
        self._open[self._tickets] = Outputs(found["logits"], found["probabilities"], found.get("cam"))
        return self._tickets

    def collect(self, ticket: int) -> Outputs:
        """See Runner."""
        return self._open.pop(ticket)

    def close(self) -> None:
        """See Runner."""
        del self._session
