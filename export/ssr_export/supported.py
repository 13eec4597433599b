"""Which precisions an architecture can be exported in."""

from __future__ import annotations

from collections.abc import Sequence

from ssr_edge.common.errors import UsageError
from ssr_export.engines.build import EngineRequest
from ssr_train.models.arch import Arch, SwinConfig


def has_int8(arch: Arch) -> bool:
    """Whether `ssr_export.int8.quantize` knows it: it quantizes convolutions, and a Swin is matrix products."""
    return not isinstance(arch, SwinConfig)


def supported(requests: Sequence[EngineRequest], arch: Arch) -> tuple[EngineRequest, ...]:
    """The requests without those candidates that can't be built for an architecture.

    Raises:
        UsageError: one of these was asked for by its precision.
    """
    if has_int8(arch):
        return tuple(requests)
    if any(request.precision == "int8" and request.asked_for for request in requests):
        raise UsageError(
            f"int8 of {arch.name} is not supported: Q/DQ is written for convolutions, not for its matrix products",
            expected="fp32, bf16 (OpenVINO) or fp16 (TensorRT)",
            next_step="ssr-edge build-engine --precision fp32",
        )
    return tuple(request for request in requests if request.precision != "int8")
