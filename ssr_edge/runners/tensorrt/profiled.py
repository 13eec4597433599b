"""Runs a TensorRT engine with per-layer timing: for the benchmark, slower than a plain run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import EngineEntry
from ssr_edge.runners.tensorrt.runner import TensorRtRunner


class ProfiledTensorRtRunner(TensorRtRunner):
    """TensorRtRunner with one slot. layer_times: layer names and milliseconds, appended by every call."""

    def __init__(self, bundle: Bundle, runtime: str, precision: str) -> None:
        """See TensorRtRunner. runtime: `tensorrt` or `tensorrt-rtx`."""
        self.runtime = runtime
        self.layer_times: list[tuple[str, float]] = []
        super().__init__(bundle, precision)

    def _runtime_config(self, trt: Any, engine: Any) -> tuple[Any, Any]:
        # An engine that runs as one CUDA graph reports no layers.
        return None, None

    def _load(self, trt: Any, entry: EngineEntry, path: Path) -> None:
        # Kept alive until every context is gone: a context may hold only its address.
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
