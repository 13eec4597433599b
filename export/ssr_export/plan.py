"""Build request. Must not import PyTorch: devices rebuild bundles without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssr_edge.common.errors import UsageError
from ssr_export.engines.build import EngineRequest
from ssr_export.int8.ranges import Method
from ssr_train.models.arch import Arch, SwinConfig


@dataclass(frozen=True)
class Int8Corrections:
    """Corrections for a network that loses accuracy in INT8; docs/measurements/int8_corrections.md compares them.

    equalize: cross-layer equalization, before calibration. correct_bias: bias correction, after quantization.
    """

    equalize: bool = False
    correct_bias: bool = True


@dataclass(frozen=True)
class BundlePlan:
    """What to build. source: a checkpoint file or a bundle folder. bundle: the folder to write.

    engines: empty writes the models only. method: how INT8 ranges are chosen. images, held_out: folders to use instead
    of the checkpoint's own images. allow_drop: ship engines that the gate refuses. float_blocks: `auto`, `none` or
    comma-separated block names. cache: JSON file of INT8 ranges, used if it matches and replaced if not; None uses the
    bundle's own. corrections, cam (class activation maps as a third output): for checkpoints; the models of an existing
    bundle do not change.
    """

    source: Path
    bundle: Path
    engines: tuple[EngineRequest, ...]
    method: Method
    images: Path | None = None
    held_out: Path | None = None
    allow_drop: bool = False
    float_blocks: str = "auto"
    cache: Path | None = None
    corrections: Int8Corrections = field(default_factory=Int8Corrections)
    cam: bool = False


def has_int8(arch: Arch) -> bool:
    """Whether an architecture can be quantized: `ssr_export.int8.quantize` handles convolutions only, so not a Swin."""
    return not isinstance(arch, SwinConfig)


def supported_requests(requests: Sequence[EngineRequest], arch: Arch) -> tuple[EngineRequest, ...]:
    """The requests, without the optional ones that can't be built for an architecture.

    Raises:
        UsageError: an unsupported precision was explicitly requested.
    """
    if has_int8(arch):
        return tuple(requests)
    if any(request.precision == "int8" and request.required for request in requests):
        raise UsageError(
            f"int8 is not supported for {arch.name}: only convolutions can be quantized, not matrix products",
            expected="fp32, bf16 (OpenVINO) or fp16 (TensorRT)",
            next_step="ssr-edge build-engine --precision fp32",
        )
    return tuple(request for request in requests if request.precision != "int8")
