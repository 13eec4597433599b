"""NVIDIA's trtexec on the bundle's own TensorRT engine.

Its flags: https://docs.nvidia.com/deeplearning/tensorrt/latest/reference/command-line-programs.html. TensorRT 11 turned
several defaults round (no transfers, a CUDA graph, waiting by spinning), so everything is said aloud that `--help`
knows, and its figures stay comparable from 10.3 to 11.
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

# Where NVIDIA's packages put it: on Jetson and Debian, and in its containers.
_PLACES = ("/usr/src/tensorrt/bin", "/opt/tensorrt/bin")
# What makes its timed region that of our runner: copies both ways, kernels launched one by one, a host thread that
# spins (CUDA's default schedule, which pycuda leaves as it is), and the next call begun when the last has returned.
_AS_OUR_RUNNER = ("--includeDataTransfers", "--noCudaGraph", "--useSpinWait", "--exposeDMA")
_SECONDS_FOR_HELP = 10.0


class Trtexec:
    """One image of random pixels a call, on the engine that our runner would choose for this GPU.

    Raises:
        RuntimeUnavailable: no GPU, or the tool is not installed or does not say its version.
        BundleError: the bundle has no engine of its version for this GPU, or it was changed.
    """

    tool = "trtexec"
    what = (
        "the copies to and from the GPU and the engine between them, on the GPU's clock: without the host's share, "
        "which is in the mean time of a call"
    )

    def __init__(self, bundle: Bundle, precision: str) -> None:
        gpu = _gpu()
        tool = _find_tool()
        said = run_tool([tool, "--help"], _SECONDS_FOR_HELP)
        self.version = _version(said, tool)
        entry = choose_engine(bundle, "tensorrt", precision, self.version, gpu)
        known = set(re.findall(r"--\w+", said))
        self._command = [
            tool,
            f"--loadEngine={bundle.file(entry.file)}",
            f"--shapes={INPUT}:1x{IMAGE_SIZE}x{IMAGE_SIZE}x3",
            "--percentile=90",
            *(flag for flag in _AS_OUR_RUNNER if flag in known),
        ]
        if is_version_compatible(entry):
            self._command.append("--versionCompatible")
        # The variable by which pycuda, and so our runner, chooses.
        if device := os.environ.get("CUDA_DEVICE"):
            self._command.append(f"--device={device}")

    def turn(self, seconds: float) -> VendorTimes:
        """See Peer."""
        command = [*self._command, f"--duration={max(1, ceil(seconds))}"]
        said = run_tool(command, seconds)
        if "Data transfers: Disabled" in said:
            raise tool_failed(command, "it left the copies to and from the GPU out, and no flag that it knows says so")
        # A line begins with date and level; "H2D Latency:" is another one.
        latency = find_in(said, r"(?:\] |^)Latency: .*median = (\S+) ms, percentile\(90%\) = (\S+) ms", command)
        return VendorTimes(
            tool=self.tool,
            version=self.version,
            command=shlex.join(command),
            median_ms=float(latency[1]),
            p90_ms=float(latency[2]),
            mean_call_ms=1000 / float(find_in(said, r"Throughput: (\S+) qps", command)[1]),
            calls=int(find_in(said, r"Timing trace has (\d+) queries", command)[1]),
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
            expected="NVIDIA's tool, which pip does not bring, in "
            + " or ".join(["TENSORRT_HOME/bin", "PATH", *_PLACES]),
            next_step="sudo apt install libnvinfer-bin, or TENSORRT_HOME=FOLDER of NVIDIA's archive",
        )
    return found


def _version(said: str, tool: str) -> str:
    """`10.3.0` of the `v100300` in the first line that it prints."""
    found = re.search(r"\[TensorRT v(\d{2})(\d{2})(\d{2})\]", said)
    if found is None:
        raise tool_failed([tool, "--help"], "it does not say a version of TensorRT from 10 on")
    return ".".join(str(int(part)) for part in found.groups())
