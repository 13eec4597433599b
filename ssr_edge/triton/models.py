"""Selects the engines of a bundle that Triton serves, one per precision, and lists those that it can't."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ssr_edge.bundle.bundle import Bundle, model_file
from ssr_edge.bundle.manifest import PRECISIONS, EngineEntry
from ssr_edge.common.errors import BundleError, UsageError

RUNTIMES = ("tensorrt", "openvino", "onnxruntime")
# Preferred first. OpenVINO last for fp32: on CPUs with BF16 it computes in BF16, and Triton's backend has no parameter
# to disable that. ONNX Runtime last for int8: it is slow with the Q/DQ placement that TensorRT needs.
_PREFERRED = {
    "fp32": ("tensorrt", "onnxruntime", "openvino"),
    "bf16": ("openvino",),
    "fp16": ("tensorrt", "onnxruntime"),
    "int8": ("tensorrt", "openvino", "onnxruntime"),
}


@dataclass(frozen=True)
class ServedModel:
    """A model of the repository. name: of its folder, `demo_int8`. source: the bundle's file that it is made from.

    engine: the plan's entry in the manifest; None for a model that the server compiles.
    """

    name: str
    runtime: str
    precision: str
    source: str
    engine: EngineEntry | None = None

    @property
    def bench_name(self) -> str:
        """The same engine in bench.json: `openvino-int8`."""
        return f"{self.runtime}-{self.precision}"


@dataclass(frozen=True)
class Plan:
    """The models to serve, and a line with the reason for each one left out."""

    models: list[ServedModel]
    left_out: list[str]


def plan_models(bundle: Bundle, runtime: str | None = None, precisions: Sequence[str] = ()) -> Plan:
    """One model for each precision of the bundle. runtime: use only this one; None for the best available.

    precisions: serve only these; empty for all that were not dropped by the bundle's gate or timing.

    Raises:
        UsageError: an unknown runtime or precision. BundleError: nothing that was requested can be served.
    """
    _check_known("--runtime", [runtime] if runtime else [], RUNTIMES)
    _check_known("--precision", precisions, PRECISIONS)
    models: list[ServedModel] = []
    left_out = _of_rtx(bundle)
    for precision in precisions or PRECISIONS:
        found = [name for name in _PREFERRED[precision] if runtime in (None, name) and _has(bundle, name, precision)]
        dropped = _dropped(bundle, found[0], precision) if found and not precisions else None
        if dropped is not None:
            left_out.append(f"{precision} is left out: {dropped} (--precision {precision} serves it anyway)")
        elif found:
            models.append(_served(bundle, found[0], precision))
        elif precisions:
            left_out.append(f"{precision} is left out: {bundle.path} has no {precision} that Triton can serve")
    if not models:
        raise BundleError(
            "; ".join(left_out) or f"{bundle.path} has no model that Triton can serve with {runtime}",
            expected="a TensorRT engine, or models for OpenVINO or ONNX Runtime",
            next_step=f"ssr-edge inspect {bundle.path}",
        )
    return Plan(models, left_out)


def _served(bundle: Bundle, runtime: str, precision: str) -> ServedModel:
    name = f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', bundle.path.resolve().name)}_{precision}"
    engine = bundle.engine(runtime, precision) if runtime == "tensorrt" else None
    return ServedModel(name, runtime, precision, engine.file if engine else model_file(precision), engine)


def _has(bundle: Bundle, runtime: str, precision: str) -> bool:
    if runtime == "tensorrt" or precision == "bf16":  # bf16 is built only on CPUs with BF16
        return bundle.engine(runtime, precision) is not None
    return bundle.has(model_file(precision))


def _of_rtx(bundle: Bundle) -> list[str]:
    return [
        f"{entry.file} is left out: Triton loads TensorRT plans, not those of TensorRT for RTX "
        f"(ssr-edge build-engine {bundle.path} --runtime tensorrt --precision {entry.precision}, on the server's GPU)"
        for entry in bundle.manifest.engines
        if entry.runtime == "tensorrt-rtx"
    ]


def _dropped(bundle: Bundle, runtime: str, precision: str) -> str | None:
    choice = bundle.manifest.chosen.get(runtime)
    candidates = choice.candidates if choice else []
    return next((one.dropped for one in candidates if one.precision == precision and one.dropped), None)


def _check_known(option: str, asked: Sequence[str], known: Sequence[str]) -> None:
    for value in asked:
        if value not in known:
            raise UsageError(
                f"{option} {value!r} is not known", expected=", ".join(known), next_step="ssr-edge triton --help"
            )
