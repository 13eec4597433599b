"""Measures the peak rates of this machine's cores: multiply-adds by precision, and copies in cache and in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssr_edge.bundle.manifest import QMAX
from ssr_edge.machine.environment import usable_cores
from ssr_edge.runners.openvino.core import has_bf16, openvino_core
from ssr_edge.runners.openvino.runner import compile_options

if TYPE_CHECKING:
    import openvino

# Channels and side length of 1x1 convolutions; the fastest shape depends on the CPU's caches and vector units.
_SHAPES = ((128, 28), (256, 28), (256, 14), (512, 14), (512, 7), (256, 56))
# Consecutive convolutions, so that call overhead is negligible.
_DEPTH = 8
# Suffixes of OpenVINO's kernel names, by precision.
_KERNELS = {"fp32": ("f32",), "bf16": ("bf16",), "int8": ("i8", "u8")}
# Bytes that one core reads and writes per copy. 2 MiB stay in cache, as this network's tensors do, and take long
# enough to hide the cost of the GIL; 100 MiB do not fit.
_CACHED_BYTES, _LARGE_BYTES = 2 << 20, 100 << 20
_WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Peaks:
    """Highest rates measured on all usable cores.

    multiply_adds_per_s: by precision; precisions the CPU does not compute in are missing. copy_bytes_per_s: bytes read
    and written, for arrays much larger than the caches. cache_copy_bytes_per_s: for arrays that stay in cache.
    """

    multiply_adds_per_s: dict[str, float]
    copy_bytes_per_s: float
    cache_copy_bytes_per_s: float

    def rate_in(self, precision: str) -> float:
        """Multiply-adds per second; the FP32 rate for precisions the CPU does not compute in."""
        return self.multiply_adds_per_s.get(precision, self.multiply_adds_per_s["fp32"])


def measure_peaks(seconds: float = 1.5) -> Peaks:
    """Measures each peak for about `seconds`. Nothing else should run meanwhile.

    Raises:
        RuntimeUnavailable: OpenVINO is missing.
    """
    core = openvino_core()
    rates = {name: _multiply_adds_per_s(core, name, seconds) for name in ("fp32", "bf16", "int8")}
    copies = _copy_bytes_per_s(_LARGE_BYTES, seconds)
    return Peaks(
        {name: rate for name, rate in rates.items() if rate is not None},
        copies,
        max(copies, _copy_bytes_per_s(_CACHED_BYTES, seconds)),
    )


def convolutions(channels: int, side: int, precision: str) -> tuple[openvino.Model, int]:
    """An OpenVINO model of consecutive 1x1 convolutions, and its number of multiply-adds.

    The input is float32 [1, channels, side, side]. precision: `int8` quantizes weights and activations; any other value
    keeps both in floating point.
    """
    import openvino
    from openvino import opset13 as ops

    rng = np.random.default_rng(0)
    data = ops.parameter([1, channels, side, side], np.float32)
    x: Any = data
    for _ in range(_DEPTH):
        weight = (rng.standard_normal((channels, channels, 1, 1)) / channels**0.5).astype(np.float32)
        kernel: Any = ops.constant(weight)
        if precision == "int8":
            scale = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / QMAX
            rounded = ops.constant(np.rint(weight / scale).astype(np.int8))
            kernel = ops.multiply(ops.convert(rounded, "f32"), ops.constant(scale.astype(np.float32)))
            low, high = np.float32(0), np.float32(4)
            x = ops.fake_quantize(x, low, high, low, high, 2 * QMAX + 2)
        x = ops.relu(ops.convolution(x, kernel, [1, 1], [0, 0], [0, 0], [1, 1]))
    return openvino.Model([x], [data]), _DEPTH * channels**2 * side**2


def runs_in(compiled: openvino.CompiledModel, precision: str) -> bool:
    """Whether OpenVINO selected kernels of this precision for every convolution."""
    facts = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    kernels = [
        fact["primitiveType"].astype(str).lower() for fact in facts if fact["layerType"].astype(str) == "Convolution"
    ]
    return bool(kernels) and all(kernel.split("_")[-1] in _KERNELS[precision] for kernel in kernels)


def _multiply_adds_per_s(core: openvino.Core, precision: str, seconds: float) -> float | None:
    if precision == "bf16" and not has_bf16(core):
        return None
    rates = []
    for channels, side in _SHAPES:
        model, multiply_adds = convolutions(channels, side, precision)
        compiled = core.compile_model(model, "CPU", compile_options(precision))
        if runs_in(compiled, precision):
            rates.append(multiply_adds / _fastest(_call(compiled), seconds / len(_SHAPES)))
    return max(rates, default=None)


def _call(compiled: openvino.CompiledModel) -> Callable[[], object]:
    import openvino

    request = compiled.create_infer_request()
    data = np.random.default_rng(0).random(tuple(compiled.input(0).shape), dtype=np.float32)
    request.set_input_tensor(openvino.Tensor(data))
    return lambda: request.infer()


def _copy_bytes_per_s(size: int, seconds: float) -> float:
    """Every core copies `size` bytes; small copies are repeated to hide the start-up cost."""
    cores = usable_cores()
    pairs = [(np.ones(size // 2, np.uint8), np.zeros(size // 2, np.uint8)) for _ in range(cores)]
    repeats = max(1, _LARGE_BYTES // size)

    def copy(pair: tuple[Any, Any]) -> None:
        source, target = pair
        for _ in range(repeats):
            np.copyto(target, source)

    with ThreadPoolExecutor(cores) as threads:
        return cores * repeats * size / _fastest(lambda: list(threads.map(copy, pairs)), seconds)


def _fastest(call: Callable[[], object], seconds: float) -> float:
    """Shortest duration of a call, in seconds, over as many calls as fit."""
    for _ in range(_WARM_UP_CALLS):
        call()
    return min(_times(call, seconds))


def _times(call: Callable[[], object], seconds: float) -> Iterator[float]:
    started = time.perf_counter()
    while (began := time.perf_counter()) < started + seconds:
        call()
        yield time.perf_counter() - began
