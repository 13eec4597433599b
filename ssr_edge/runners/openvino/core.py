"""OpenVINO's core, its version, and the CPU's capabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.common.telemetry import silence

if TYPE_CHECKING:
    import openvino


def openvino_core() -> openvino.Core:
    """OpenVINO's entry point.

    Raises:
        RuntimeUnavailable: the package is not installed.
    """
    silence()
    try:
        import openvino
    except ImportError as error:
        raise RuntimeUnavailable(
            f"OpenVINO can't be imported: {error}", expected="the package openvino", next_step="pip install openvino"
        ) from error
    return openvino.Core()


def openvino_version() -> str:
    """Short version, e.g. `2026.4.1`; exported engines are tied to it."""
    silence()
    import openvino

    return str(openvino.__version__).split("-")[0]


def cpu_name(core: openvino.Core) -> str:
    """The CPU's name as reported by OpenVINO."""
    return str(core.get_property("CPU", "FULL_DEVICE_NAME")).strip()


def has_bf16(core: openvino.Core) -> bool:
    """Whether this CPU has native BF16, faster than FP32."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def check_cpu(core: openvino.Core, precision: str) -> None:
    """Rejects a precision that this CPU does not support natively.

    Raises:
        RuntimeUnavailable: bf16 on a CPU without BF16.
    """
    if precision == "bf16" and not has_bf16(core):
        raise RuntimeUnavailable(
            f"{cpu_name(core)} has no BF16",
            expected="a CPU with AVX512_BF16 or AMX for --precision bf16",
            next_step="ssr-edge infer --precision fp32",
        )
