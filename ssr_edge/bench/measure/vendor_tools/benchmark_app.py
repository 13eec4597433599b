"""OpenVINO's benchmark_app on the bundle's ONNX file.

Its flags: https://docs.openvino.ai/2026/get-started/learn-openvino/openvino-samples/benchmark-tool.html. The flags
used here are the same in 2025.2 and 2026.4.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from importlib.util import find_spec
from math import ceil
from pathlib import Path

from ssr_edge.bench.measure.vendor_tools.base import VendorTimes, find_in, run_tool
from ssr_edge.bundle.bundle import Bundle, model_file
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.common.telemetry import silenced_environment
from ssr_edge.images.preprocess import IMAGE_SIZE
from ssr_edge.runners.openvino.core import check_cpu, openvino_core
from ssr_edge.runners.openvino.runner import compile_options

_TO_MS = {"ms": 1.0, "us": 1e-3}


class BenchmarkApp:
    """Synchronous calls with one image of random pixels, with the compile options of our engine.

    Raises:
        RuntimeUnavailable: the tool is not installed, or this CPU lacks the precision.
        BundleError: the bundle has no model of this precision, or the model was changed.
    """

    tool = "benchmark_app"
    what = (
        "the engine alone with its batch fixed at 1; it excludes setting the input, copying the results and the Python "
        "call"
    )

    def __init__(self, bundle: Bundle, precision: str) -> None:
        check_cpu(openvino_core(), precision)
        options = compile_options(precision)
        self._command = [
            *_find_tool(),
            *("-m", str(bundle.file(model_file(precision)))),
            *("-d", "CPU", "-hint", str(options["PERFORMANCE_HINT"]).lower()),
            *("-infer_precision", str(options["INFERENCE_PRECISION_HINT"])),
            # One call at a time. Some versions need a fixed shape for synchronous calls.
            *("-api", "sync", "-shape", f"[1,{IMAGE_SIZE},{IMAGE_SIZE},3]"),
        ]

    def turn(self, seconds: float) -> VendorTimes:
        """See VendorTool."""
        # -t accepts whole seconds only.
        command = [*self._command, "-t", str(max(1, ceil(seconds)))]
        with silenced_environment() as env:
            output = run_tool(command, seconds, env)
        median, unit = find_in(output, r"Median: +([\d.]+) (ms|us)$", command).groups()
        calls = int(find_in(output, r"Count: +(\d+) iterations", command)[1])
        return VendorTimes(
            tool=self.tool,
            version=find_in(output, r"Build \.+ ([\d.]+)", command)[1],
            command=shlex.join(command),
            median_ms=float(median) * _TO_MS[unit],
            p90_ms=None,
            mean_call_ms=float(find_in(output, r"Duration: +([\d.]+) ms", command)[1]) / calls,
            calls=calls,
        )


def _find_tool() -> list[str]:
    """Its command line; the tool of this Python takes precedence over others on PATH."""
    found = shutil.which("benchmark_app", path=str(Path(sys.executable).parent)) or shutil.which("benchmark_app")
    if found is not None:
        return [found]
    # Some packages omit the script.
    if find_spec("openvino.tools.benchmark") is not None:
        return [sys.executable, "-c", "from openvino.tools.benchmark.main import main; main()"]
    raise RuntimeUnavailable(
        "benchmark_app is not installed",
        expected="OpenVINO's tool, which is part of the package openvino",
        next_step="pip install openvino",
    )
