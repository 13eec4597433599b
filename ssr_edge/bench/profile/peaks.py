"""Measures what this machine's cores can do at most: multiply-adds by precision, and copies in cache and in memory."""

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

# Channels and side of the maps of 1x1 convolutions; which of them a CPU likes best depends on its caches and units.
_SHAPES = ((128, 28), (256, 28), (256, 14), (512, 14), (512, 7), (256, 56))
# Convolutions in a row, so that starting a call costs little beside them.
_DEPTH = 8
# What OpenVINO's kernels end in, by precision.
_KERNELS = {"fp32": ("f32",), "bf16": ("bf16",), "int8": ("i8", "u8")}
# A core's part of a copy, read and written: two megabytes stay in the caches, as this network's tensors do, and take
# long enough that Python's lock costs nothing beside them; a hundred do not stay.
_CACHED_BYTES, _LARGE_BYTES = 2 << 20, 100 << 20
_WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Peaks:
    """The most that was seen on all usable cores.

    multiply_adds_per_s: by precision; one that the CPU does not compute in is missing. copy_bytes_per_s: read and
    written, of arrays much larger than the caches. cache_copy_bytes_per_s: of arrays that stay in the caches.
    """

    multiply_adds_per_s: dict[str, float]
    copy_bytes_per_s: float
    cache_copy_bytes_per_s: float


def measure_peaks(seconds: float = 1.5) -> Peaks:
    """Measures each peak for about so long. Nothing else should run meanwhile.

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
    """A row of 1x1 convolutions as OpenVINO takes them, and their multiply-adds.

    The input is float32 [1, channels, side, side]. precision: `int8` quantizes weights and activations, anything else
    leaves both in floating point.
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
    """Whether OpenVINO chose kernels of this precision for every convolution."""
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
    """Every core copies `size` bytes, small ones so often that starting costs nothing."""
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
    """The shortest time of a call, in seconds, of as many as fit."""
    for _ in range(_WARM_UP_CALLS):
        call()
    return min(_times(call, seconds))


def _times(call: Callable[[], object], seconds: float) -> Iterator[float]:
    started = time.perf_counter()
    while (began := time.perf_counter()) < started + seconds:
        call()
        yield time.perf_counter() - began
