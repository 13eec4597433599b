"""Architecture configs: one class for SSResNeXt, its ablations and smaller variants, and one for each baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias, TypeVar

from ssr_edge.common.errors import UsageError

SpatialKernels = Literal["single", "parallel", "shared"]


@dataclass(frozen=True)
class ArchConfig:
    """Config of the network in `ssr_train.models.network` (paper section 3; Table 2 turns three of the fields off).

    blocks: bottleneck blocks in each of the four stages.
    stem_width: channels of the 7x7 stem.
    group_width: channels of the grouped convolution in stage 1; doubles at each stage.
    out_width: output channels of stage 1; doubles at each stage.
    groups: groups of the spatial convolution (the paper's 32 branches).
    kernels: `single` one 3x3, `parallel` 3x3 + 1x3 + 3x1 with their own weights, `shared` 1x3 and 3x1 are
        the middle row and the middle column of the 3x3.
    se_reduction: reduction of the squeeze-and-excitation MLP; 0 removes the attention.
    first_to_last: adds the first output of a stage to the input of its last block (stages of three blocks or more).
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
        """The inverse of `to_dict`."""
        return ArchConfig(**(fields | {"blocks": tuple(fields["blocks"])}))


@dataclass(frozen=True)
class BhcNetConfig:
    """Config of the network in `ssr_train.models.bhcnet`. blocks: small SE-ResNet modules in each of the three stages.

    width: channels of the stem and of stage 1; doubles at each stage.
    se_reduction: reduction of the squeeze-and-excitation MLP.
    """

    name: str
    blocks: tuple[int, int, int]
    width: int = 16
    se_reduction: int = 16

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {"family": "bhcnet"} | asdict(self) | {"blocks": list(self.blocks)}


@dataclass(frozen=True)
class SwinConfig:
    """Config of the network in `ssr_train.models.swin`. blocks: transformer blocks in each of the four stages.

    width: channels of the patch embedding; doubles at each stage. heads: attention heads of stage 1; doubles too.
    """

    name: str
    blocks: tuple[int, int, int, int]
    width: int = 96
    heads: int = 3

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {"family": "swin"} | asdict(self) | {"blocks": list(self.blocks)}


Arch: TypeAlias = ArchConfig | BhcNetConfig | SwinConfig
_BASELINES: dict[str, type[BhcNetConfig] | type[SwinConfig]] = {"bhcnet": BhcNetConfig, "swin": SwinConfig}


def arch_from_dict(fields: dict[str, Any]) -> Arch:
    """The inverse of `to_dict` for all configs; fields without `family` are those of an `ArchConfig`.

    Raises:
        KeyError, TypeError: the fields are not those of a config.
    """
    if "family" not in fields:
        return ArchConfig.from_dict(fields)
    rest = {name: value for name, value in fields.items() if name != "family"}
    return _BASELINES[fields["family"]](**(rest | {"blocks": tuple(fields["blocks"])}))


_A = TypeVar("_A", bound=Arch)
_REGISTRY: dict[str, Callable[[], Arch]] = {}


def _register(make: Callable[[], _A]) -> Callable[[], _A]:
    _REGISTRY[make.__name__] = make
    return make


@_register
def ssresnext50_32x4d() -> ArchConfig:
    """The network of the paper: 25.2 M parameters, 4.23 G multiply-adds when folded."""
    return ArchConfig(name="ssresnext50_32x4d", blocks=(3, 4, 6, 3))


@_register
def ssresnext32_16x4d() -> ArchConfig:
    """The network of the demo: half the width, ten blocks, all mechanisms of the paper."""
    return ArchConfig(
        name="ssresnext32_16x4d", blocks=(2, 3, 3, 2), stem_width=32, group_width=64, out_width=128, groups=16
    )


@_register
def ssresnext26_16x4d() -> ArchConfig:
    """Two blocks per stage, half the width."""
    return replace(ssresnext32_16x4d(), name="ssresnext26_16x4d", blocks=(2, 2, 2, 2))


@_register
def ssresnext14_8x4d() -> ArchConfig:
    """One block per stage, a quarter of the width: the smallest network, which the tests train."""
    return ArchConfig(
        name="ssresnext14_8x4d", blocks=(1, 1, 1, 1), stem_width=16, group_width=32, out_width=64, groups=8
    )


@_register
def se_resnext50_32x4d() -> ArchConfig:
    """Ablation of Table 2: groups and attention, one 3x3 kernel."""
    return replace(ssresnext50_32x4d(), name="se_resnext50_32x4d", kernels="single", first_to_last=False)


@_register
def resnext50_32x4d() -> ArchConfig:
    """Ablation of Table 2: groups only."""
    return replace(se_resnext50_32x4d(), name="resnext50_32x4d", se_reduction=0)


@_register
def resnet50() -> ArchConfig:
    """Ablation of Table 2: no groups, no attention, one 3x3 kernel."""
    return replace(resnext50_32x4d(), name="resnet50", groups=1, group_width=64)


@_register
def bhcnet() -> BhcNetConfig:
    """Baseline of Table 3: BHCNet-6 of Jiang et al. 2019, the multi-class network of that paper."""
    return BhcNetConfig(name="bhcnet", blocks=(6, 6, 6))


@_register
def swin_t() -> SwinConfig:
    """Baseline of Table 3: Swin-T of Liu et al. 2021 (arXiv 2103.14030)."""
    return SwinConfig(name="swin_t", blocks=(2, 2, 6, 2))


def arch_names() -> list[str]:
    """All registered architectures, the paper's first."""
    return list(_REGISTRY)


def arch_by_name(name: str) -> Arch:
    """The config registered under `name`; `NAME/shared` is the weight-sharing variant.

    Raises:
        UsageError: no such architecture.
    """
    base, _, variant = name.partition("/")
    if base not in _REGISTRY or variant not in ("", "shared"):
        raise UsageError(
            f"unknown architecture {name!r}",
            expected="one of " + ", ".join(arch_names()) + " ('/shared' may follow an SSResNeXt)",
            next_step=f"ssr-edge train --arch {arch_names()[0]}",
        )
    config = _REGISTRY[base]()
    if not variant:
        return config
    if not isinstance(config, ArchConfig) or config.kernels != "parallel":
        raise UsageError(
            f"{base} has no parallel kernels, so it has no shared variant",
            expected="an SSResNeXt before '/shared'",
            next_step="ssr-edge train --arch ssresnext50_32x4d/shared",
        )
    return replace(config, name=name, kernels="shared")
