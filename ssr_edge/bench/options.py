"""The options of a benchmark, filled by the command line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal

from ssr_edge.bench.measure.schedule import FULL, MLPERF, QUICK, Budget

VendorToolName = Literal["benchmark_app", "trtexec"]


class Runtime(str, Enum):
    """The runtimes of ssr_edge.runners.choose, and the PyTorch forms of measure.engines."""

    OPENVINO = "openvino"
    TENSORRT = "tensorrt"
    TENSORRT_RTX = "tensorrt-rtx"
    ONNXRUNTIME = "onnxruntime"
    TORCH = "torch"
    TORCH_FOLDED = "torch-folded"
    TORCH_COMPILE = "torch-compile"


class Precision(str, Enum):
    """The precisions of bundle.manifest."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"


@dataclass(frozen=True)
class BenchOptions:
    """All options of `ssr-edge bench`.

    folder: images. bundle: None for the newest. arch, random_weights: measure an architecture instead, latency only.
    runtimes, precisions: restrict the engines; empty for all. batches: of the offline scenario, one row each; empty for
    each engine's best. fps: of the live scenario. vendor_tool: benchmark tool to compare with. layers: profile every
    engine, not only the baseline and the fastest. server: address of a served model to measure as well.
    json: output file, or `-` for stdout. compare: an earlier bench.json. max_regression: a percentage, e.g. `5%`.
    """

    folder: Path
    bundle: Path | None = None
    arch: str | None = None
    random_weights: bool = False
    runtimes: tuple[Runtime, ...] = ()
    precisions: tuple[Precision, ...] = ()
    batches: tuple[int, ...] = ()
    quick: bool = False
    mlperf: bool = False
    fps: float = 30.0
    vendor_tool: VendorToolName | None = None
    server: str | None = None
    layers: bool = False
    seed: int = 0
    json: str = "bench.json"
    html: Path | None = None
    compare: Path | None = None
    max_regression: str | None = None

    @property
    def budget(self) -> Budget:
        """Time budget of the selected mode."""
        return QUICK if self.quick else MLPERF if self.mlperf else FULL
