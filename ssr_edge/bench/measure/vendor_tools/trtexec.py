"""NVIDIA's trtexec on the bundle's TensorRT engine.

Its flags: https://docs.nvidia.com/deeplearning/tensorrt/latest/reference/command-line-programs.html. TensorRT 11
reversed several defaults (no transfers, CUDA graph, spin wait). Passing every flag that `--help` lists explicitly keeps
the figures comparable from 10.3 to 11.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from math import ceil
from pathlib import Path

from ssr_edge.bench.measure.vendor_tools.base import VendorTimes, find_in, run_tool, tool_failed
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.images.preprocess import IMAGE_SIZE
from ssr_edge.machine.gpu import Gpu, find_gpu
from ssr_edge.runners.tensorrt.engine import choose_engine, is_version_compatible
from ssr_edge.runners.tensors import INPUT

# Install locations of NVIDIA's packages: on Jetson and Debian, and in its containers.
_PLACES = ("/usr/src/tensorrt/bin", "/opt/tensorrt/bin")
# Flags that make its timed region equal to our runner's: copies both ways, kernels launched individually, a spinning
# host thread (CUDA's default schedule, which pycuda keeps), and each call starting when the previous has returned.
_AS_OUR_RUNNER = ("--includeDataTransfers", "--noCudaGraph", "--useSpinWait", "--exposeDMA")
_SECONDS_FOR_HELP = 10.0


class Trtexec:
    """Calls with one image of random pixels, on the engine that our runner selects for this GPU.

    Raises:
        RuntimeUnavailable: no GPU, or the tool is not installed or does not report its version.
        BundleError: the bundle has no engine of that version for this GPU, or the engine was changed.
    """

    tool = "trtexec"
    what = (
        "the copies to and from the GPU and the engine, by the GPU clock; host time is included only in the mean time "
        "per call"
    )

    def __init__(self, bundle: Bundle, precision: str) -> None:
        gpu = _gpu()
        tool = _find_tool()
        output = run_tool([tool, "--help"], _SECONDS_FOR_HELP)
        self.version = _version(output, tool)
        entry = choose_engine(bundle, "tensorrt", precision, self.version, gpu)
        known = set(re.findall(r"--\w+", output))
        self._command = [
            tool,
            f"--loadEngine={bundle.file(entry.file)}",
            f"--shapes={INPUT}:1x{IMAGE_SIZE}x{IMAGE_SIZE}x3",
            "--percentile=90",
            *(flag for flag in _AS_OUR_RUNNER if flag in known),
        ]
        if is_version_compatible(entry):
            self._command.append("--versionCompatible")
        # The environment variable by which pycuda, and thus our runner, selects the GPU.
        if device := os.environ.get("CUDA_DEVICE"):
            self._command.append(f"--device={device}")

    def turn(self, seconds: float) -> VendorTimes:
        """See VendorTool."""
        command = [*self._command, f"--duration={max(1, ceil(seconds))}"]
        output = run_tool(command, seconds)
        if "Data transfers: Disabled" in output:
            raise tool_failed(command, "it excluded the copies to and from the GPU, and has no flag to include them")
        # Lines begin with date and level. Must not match "H2D Latency:".
        latency = find_in(output, r"(?:\] |^)Latency: .*median = (\S+) ms, percentile\(90%\) = (\S+) ms", command)
        return VendorTimes(
            tool=self.tool,
            version=self.version,
            command=shlex.join(command),
            median_ms=float(latency[1]),
            p90_ms=float(latency[2]),
            mean_call_ms=1000 / float(find_in(output, r"Throughput: (\S+) qps", command)[1]),
            calls=int(find_in(output, r"Timing trace has (\d+) queries", command)[1]),
        )


def _gpu() -> Gpu:
    gpu = find_gpu()
    if gpu is None:
        raise RuntimeUnavailable(
            "no NVIDIA GPU for trtexec", expected="an NVIDIA GPU and its driver", next_step="ssr-edge doctor"
        )
    return gpu


def _find_tool() -> str:
    home = os.environ.get("TENSORRT_HOME")
    places = [*([str(Path(home) / "bin")] if home else []), os.environ.get("PATH", os.defpath), *_PLACES]
    found = shutil.which("trtexec", path=os.pathsep.join(places))
    if found is None:
        raise RuntimeUnavailable(
            "trtexec is not installed",
            expected="NVIDIA's tool, which is not on PyPI, in " + " or ".join(["TENSORRT_HOME/bin", "PATH", *_PLACES]),
            next_step="sudo apt install libnvinfer-bin, or set TENSORRT_HOME to the folder of NVIDIA's archive",
        )
    return found


def _version(output: str, tool: str) -> str:
    """`10.3.0` from `v100300` in the first line of the output."""
    found = re.search(r"\[TensorRT v(\d{2})(\d{2})(\d{2})\]", output)
    if found is None:
        raise tool_failed([tool, "--help"], "it does not report a TensorRT version of 10 or later")
    return ".".join(str(int(part)) for part in found.groups())
