"""Describes a network as data: one config for SSResNeXt, its ablations and its smaller members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ssr_edge.errors import UsageError

SpatialKernels = Literal["single", "parallel", "shared"]


@dataclass(frozen=True)
class ArchConfig:
    """Fields of the one network in `ssr_train.network` (paper section 3; Table 2 switches three of them off).

    blocks: bottleneck blocks in each of the four stages.
    stem_width: channels of the 7x7 stem.
    group_width: channels of the grouped convolution in stage 1; doubles at each stage.
    out_width: channels that leave stage 1; doubles at each stage.
    groups: groups of the spatial convolution (the paper's 32 branches).
    kernels: `single` one 3x3, `parallel` 3x3 + 1x3 + 3x1 with their own weights, `shared` 1x3 and 3x1 are
        the middle row and the middle column of the 3x3.
    se_reduction: reduction of the squeeze-and-excitation MLP; 0 leaves the attention out.
    first_to_last: adds a stage's first output to its last block's input (stages of three blocks or more).
    """

    name: str
    blocks: tuple[int, int, int, int]
    stem_width: int = 64
    group_width: int = 128
    out_width: int = 256
    groups: int = 32
    kernels: SpatialKernels = "parallel"
    se_reduction: int = 8
    first_to_last: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self) | {"blocks": list(self.blocks)}

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> ArchConfig:
        """The reverse of `to_dict`."""
        return ArchConfig(**(fields | {"blocks": tuple(fields["blocks"])}))


_REGISTRY: dict[str, Callable[[], ArchConfig]] = {}


def _register(make: Callable[[], ArchConfig]) -> Callable[[], ArchConfig]:
    _REGISTRY[make.__name__] = make
    return make


@_register
def ssresnext50_32x4d() -> ArchConfig:
    """The paper's network: 25.2 M parameters, 4.23 G multiply-adds once folded."""
    return ArchConfig(name="ssresnext50_32x4d", blocks=(3, 4, 6, 3))


@_register
def ssresnext32_16x4d() -> ArchConfig:
    """The demo's network: half the width, ten blocks, every mechanism of the paper's still in it."""
    return ArchConfig(
        name="ssresnext32_16x4d", blocks=(2, 3, 3, 2), stem_width=32, group_width=64, out_width=128, groups=16
    )


@_register
def ssresnext26_16x4d() -> ArchConfig:
    """Two blocks a stage at half the width."""
    return replace(ssresnext32_16x4d(), name="ssresnext26_16x4d", blocks=(2, 2, 2, 2))


@_register
def ssresnext14_8x4d() -> ArchConfig:
    """One block a stage at a quarter of the width: the smallest member, and the one that tests train."""
    return ArchConfig(
        name="ssresnext14_8x4d", blocks=(1, 1, 1, 1), stem_width=16, group_width=32, out_width=64, groups=8
    )


@_register
def se_resnext50_32x4d() -> ArchConfig:
    """Ablation of Table 2: groups and attention, one 3x3 kernel."""
    return replace(ssresnext50_32x4d(), name="se_resnext50_32x4d", kernels="single", first_to_last=False)


@_register
def resnext50_32x4d() -> ArchConfig:
    """Ablation of Table 2: groups alone."""
    return replace(se_resnext50_32x4d(), name="resnext50_32x4d", se_reduction=0)


@_register
def resnet50() -> ArchConfig:
    """Ablation of Table 2: no groups, no attention, one 3x3 kernel."""
    return replace(resnext50_32x4d(), name="resnet50", groups=1, group_width=64)


def arch_names() -> list[str]:
    """Every registered architecture, the paper's first."""
    return list(_REGISTRY)


def arch_by_name(name: str) -> ArchConfig:
    """The config registered under `name`; `NAME/shared` takes the weight-sharing variant.

    Raises:
        UsageError: no such architecture.
    """
    base, _, variant = name.partition("/")
    if base not in _REGISTRY or variant not in ("", "shared"):
        raise UsageError(
            f"architecture {name!r} is not known",
            expected="one of " + ", ".join(arch_names()) + " (SSResNeXt members also take '/shared')",
            next_step=f"ssr-edge train --arch {arch_names()[0]}",
        )
    config = _REGISTRY[base]()
    if not variant:
        return config
    if config.kernels != "parallel":
        raise UsageError(
            f"{base} has a single 3x3 kernel, so it has no shared variant",
            expected="an SSResNeXt member before '/shared'",
            next_step="ssr-edge train --arch ssresnext50_32x4d/shared",
        )
    return replace(config, name=name, kernels="shared")
