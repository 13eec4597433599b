"""Selects the TensorRT engine for this machine; all checks run before TensorRT deserializes anything."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

import numpy as np

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import EngineEntry
from ssr_edge.common.errors import BundleError, RuntimeUnavailable
from ssr_edge.common.install_hint import install_hint
from ssr_edge.runners.tensors import CAM, INPUT, TENSORS, Tensors

# The wheel with TensorRT for RTX's bindings has the second name; the first is a package that only re-exports it.
_MODULES = {"tensorrt": ("tensorrt",), "tensorrt-rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings")}


def import_tensorrt(runtime: str) -> Any:
    """The Python module of `tensorrt` or `tensorrt-rtx`.

    Raises:
        RuntimeUnavailable: it is not installed, or a library that it needs is missing.
    """
    for name in _MODULES[runtime]:
        try:
            return import_module(name)
        # The wheels load their libraries at import: a missing one raises OSError.
        except (ImportError, OSError) as error:
            reason = error
    raise RuntimeUnavailable(
        f"{_MODULES[runtime][0]} can't be imported: {reason}",
        expected=f"the package of the extra '{runtime}' (on Jetson, JetPack's: python -m venv --system-site-packages)",
        next_step=install_hint(runtime),
    ) from reason


def rebuild(runtime: str, precision: str) -> str:
    """The command that builds an engine."""
    return f"ssr-edge build-engine --runtime {runtime} --precision {precision}"


class NamedGpu(Protocol):
    """A GPU's name and architecture (`sm_89`), whether opened or only detected."""

    @property
    def name(self) -> str:
        """As reported by the driver."""

    @property
    def architecture(self) -> str:
        """As in engine entries."""


def choose_engine(bundle: Bundle, runtime: str, precision: str, version: str, gpu: NamedGpu) -> EngineEntry:
    """The most recently built engine in the bundle that this version and this GPU can run.

    Raises:
        BundleError: there is none; names the target of the most recent one.
    """
    built = [entry for entry in bundle.manifest.engines if (entry.runtime, entry.precision) == (runtime, precision)]
    fitting = [entry for entry in built if _same_version(entry, version) and _same_device(entry, gpu.architecture)]
    if fitting:
        return fitting[-1]
    if built:
        found = f"{built[-1].file} was built by {runtime} {built[-1].version} for {built[-1].device}"
    else:
        found = f"{bundle.path} has no {runtime} engine in {precision}"
    raise BundleError(
        found,
        expected=f"an engine built by {runtime} {version} for {gpu.architecture} ({gpu.name})",
        next_step=rebuild(runtime, precision),
    )


def is_version_compatible(entry: EngineEntry) -> bool:
    """Whether other versions of TensorRT can also run the engine."""
    return entry.options.get("version_compatible") == "true"


def _same_version(entry: EngineEntry, version: str) -> bool:
    # Compare only the components that both have: 10.13.3 matches 10.13.3.9.
    parts = zip(entry.version.split("."), version.split("."), strict=False)
    return is_version_compatible(entry) or all(built == here for built, here in parts)


def _same_device(entry: EngineEntry, architecture: str) -> bool:
    if entry.options.get("hardware_compatibility", "none") != "none":
        return True
    return entry.device == "portable" or architecture in entry.device.split(",")


def check_tensors(trt: Any, engine: Any, entry: EngineEntry) -> Tensors:
    """Checks an engine's tensors against TENSORS and, if present, CAM: other shapes would overrun the buffers.

    Returns the engine's tensors.

    Raises:
        BundleError: a name, a direction, a type or a shape differs.
    """
    types = {trt.DataType.UINT8: "uint8", trt.DataType.FLOAT: "float32"}
    found: dict[str, str] = {}
    tensors = dict(TENSORS)
    for number in range(engine.num_io_tensors):
        name = engine.get_tensor_name(number)
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        dtype = engine.get_tensor_dtype(name)
        shape = tuple(engine.get_tensor_shape(name))
        found[name] = _describe(is_input, types.get(dtype, dtype.name), shape)
        if name == CAM and len(shape) == 4 and min(shape[2:]) > 0:
            tensors[CAM] = ((len(CLASSES), *shape[2:]), np.float32)
    expected = {
        name: _describe(name == INPUT, np.dtype(dtype).name, (-1, *shape)) for name, (shape, dtype) in tensors.items()
    }
    if found != expected:
        raise BundleError(
            f"{entry.file} has {_listed(found)}",
            expected=_listed(expected),
            next_step=rebuild(entry.runtime, entry.precision),
        )
    return tensors


def _describe(is_input: bool, dtype: str, shape: tuple[int, ...]) -> str:
    return f"{'input' if is_input else 'output'} {dtype} {list(shape)}"


def _listed(tensors: dict[str, str]) -> str:
    return "; ".join(f"{name}: {tensors[name]}" for name in sorted(tensors)) or "no tensors"
