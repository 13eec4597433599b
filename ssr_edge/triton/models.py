"""Decides which of a bundle's engines Triton serves, one for each precision, and says what it can't serve."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ssr_edge.bundle.bundle import Bundle, model_file
from ssr_edge.bundle.manifest import PRECISIONS, EngineEntry
from ssr_edge.common.errors import BundleError, UsageError

RUNTIMES = ("tensorrt", "openvino", "onnxruntime")
# Preferred first. Not OpenVINO for fp32: where the processor has BF16 it would compute in that, and Triton's backend
# has no parameter against it. ONNX Runtime last for int8: it is slow with Q/DQ as TensorRT wants it.
_PREFERRED = {
    "fp32": ("tensorrt", "onnxruntime", "openvino"),
    "bf16": ("openvino",),
    "fp16": ("tensorrt", "onnxruntime"),
    "int8": ("tensorrt", "openvino", "onnxruntime"),
}


@dataclass(frozen=True)
class ServedModel:
    """A model of the repository. name: its folder's, `demo_int8`. source: the bundle's file that it is made from.

    engine: the plan's entry in the manifest; None for a model that the server compiles itself.
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
    """What is served, and what is not and why, in words."""

    models: list[ServedModel]
    left_out: list[str]


def plan_models(bundle: Bundle, runtime: str | None = None, precisions: Sequence[str] = ()) -> Plan:
    """One model for each precision of the bundle. runtime: the only one to take; None for the best that there is.

    precisions: the only ones; empty for all but those that the bundle's gate or its timing dropped.

    Raises:
        UsageError: an unknown runtime or precision. BundleError: nothing of what was asked for can be served.
    """
    _check_known("--runtime", [runtime] if runtime else [], RUNTIMES)
    _check_known("--precision", precisions, PRECISIONS)
    models: list[ServedModel] = []
    left_out = _of_rtx(bundle)
    for precision in precisions or PRECISIONS:
        found = [name for name in _PREFERRED[precision] if runtime in (None, name) and _has(bundle, name, precision)]
        dropped = _dropped(bundle, found[0], precision) if found and not precisions else None
        if dropped is not None:
            left_out.append(f"{precision} is left out: {dropped} (--precision {precision} takes it all the same)")
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
    if runtime == "tensorrt" or precision == "bf16":  # bf16 is built only on a processor that has it
        return bundle.engine(runtime, precision) is not None
    return bundle.has(model_file(precision))


def _of_rtx(bundle: Bundle) -> list[str]:
    return [
        f"{entry.file} is left out: Triton loads plans of TensorRT, not of TensorRT for RTX "
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
