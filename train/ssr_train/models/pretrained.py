"""Starts a network from public ImageNet weights (`ssr-edge train --init-from FILE`) without changing what they compute.

What the public network lacks starts with no effect, and can learn:

- The 1x3 and 3x1 kernels have a BatchNorm of their own, whose scale starts at zero: their output is exactly zero, and
  the scale has a gradient at the first step, the kernels from then on. Kernels of zero under a live BatchNorm would
  not do: it divides by a deviation of zero.
- Attention starts at exactly one half everywhere (its last weights and biases are zero, and sigmoid(0) = 1/2), and
  conv3's weights start doubled. Both are powers of two, so that nothing is rounded.
- The addition of a stage's first output to its last block's input (`first_to_last`) has no weight that could start at
  zero. The last block is made to see the mean of the two instead of their sum, which keeps the size that its
  BatchNorms know: it reads with halved weights, its output is doubled, and what reads that is halved. This is exact,
  too, but of another network: ResNeXt-50 whose last blocks are given that mean. With `first_to_last` off the features
  are those of the public network.

The classifier stays random: ImageNet's has other classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import zip_longest
from pathlib import Path

import torch
from torch import Tensor, nn

from ssr_edge.common.errors import CheckpointError
from ssr_edge.common.files import sha256_of
from ssr_train.models.arch import ArchConfig, SwinConfig
from ssr_train.models.network import Block, Network, ParallelKernels, SharedKernels, SqueezeExcite, SSResNeXt, Stage


def load_pretrained(path: Path, network: Network, sha256: str | None = None) -> None:
    """Puts a state dict in torchvision's layout (timm's is the same for ResNet and ResNeXt) into an untrained network.

    path: .safetensors, or a .pth of tensors alone. ResNeXt-50 32x4d fits ssresnext50_32x4d and its ablations with
    groups, ResNet-50 resnet50, and Swin-T swin_t. sha256: what the file has to be.

    Raises:
        CheckpointError: the file can't be read, is another, or lacks, exceeds or misshapes what the network needs.
    """
    arch = network.arch
    if not isinstance(arch, ArchConfig | SwinConfig):
        raise _unusable(f"no public weights are known for {arch.name}")
    if sha256 is not None and sha256_of(path) != sha256:
        raise _unusable(f"{path} has changed since the run was begun: its SHA-256 was {sha256}")
    family = "resnet" if isinstance(arch, ArchConfig) else "swin"
    state = {name: tensor for name, tensor in _read(path).items() if not name.startswith(("fc.", "head."))}
    found = {_our_name(family, name, network): tensor for name, tensor in state.items()}
    _check(path, found, network)
    network.load_state_dict(found, strict=False)
    if isinstance(network, SSResNeXt):
        with torch.no_grad():
            _neutralize(network)


def _resnet_name(name: str) -> str:
    name = re.sub(r"^layer(\d)\.(\d+)", lambda m: f"stages.{int(m[1]) - 1}.blocks.{m[2]}", name)
    name = name.replace(".downsample.", ".shortcut.")
    return re.sub(r"^(conv1|bn1)\.", lambda m: {"conv1": "stem.", "bn1": "stem_bn."}[m[1]], name)


def _swin_name(name: str) -> str:
    name = name.replace("features.0.0.", "stem.").replace("features.0.2.", "stem_norm.1.")
    name = re.sub(r"^features\.(\d+)", lambda m: f"stages.{int(m[1]) - 1}", name)
    return re.sub(r"^head\.", "classifier.", name)


# From torchvision's name of a tensor to ours, before the kernels' variant is known.
OUR_NAME: dict[str, Callable[[str], str]] = {"resnet": _resnet_name, "swin": _swin_name}


def _our_name(family: str, name: str, network: Network) -> str:
    ours = OUR_NAME[family](name)
    if family == "swin":
        return ours
    assert isinstance(network.arch, ArchConfig)
    single = network.arch.kernels == "single"
    ours = ours.replace(".conv2.", ".spatial.0." if single else ".spatial.square.")
    return ours.replace(".bn2.", ".spatial.1." if single else ".spatial.square_bn.")


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            # weights_only: a pickle can run code, this loads tensors and nothing else.
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, SafetensorError, EOFError, ValueError, KeyError, IndexError) as error:
        raise _unusable(f"{path} can't be read: {_first_line(error)}") from error
    except Exception as error:  # pickle.UnpicklingError, and what a damaged pickle can cause
        raise _unusable(f"{path} holds more than tensors, or is damaged: {_first_line(error)}") from error
    if not (isinstance(state, dict) and state and all(isinstance(value, Tensor) for value in state.values())):
        raise _unusable(f"{path} holds no state dict")
    return {str(name): tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def _check(path: Path, found: Mapping[str, Tensor], network: Network) -> None:
    wanted = network.state_dict()
    extra = sorted(found.keys() - wanted.keys())
    missing = sorted(name for name in wanted.keys() - found.keys() if not _starts_neutral(name))
    shapes = [name for name in found.keys() & wanted.keys() if found[name].shape != wanted[name].shape]
    for what, names in (("lacks", missing), ("has, unknown here,", extra)):
        if names:
            raise _unusable(f"{path} {what} {len(names)} tensors of {network.arch.name}, for instance {names[0]}")
    if shapes:
        name = min(shapes)
        raise _unusable(
            f"{path}: {name} has the shape {list(found[name].shape)}, and {network.arch.name} needs "
            f"{list(wanted[name].shape)}"
        )


def _starts_neutral(name: str) -> bool:
    """Whether a tensor is one that public networks lack."""
    return name.startswith("classifier.") or bool(
        re.search(r"\.(row|column)(_bn)?\.|\.attention\.|\.num_batches_tracked$|^stem_bn\.num_batches_tracked$", name)
    )


def _neutralize(network: SSResNeXt) -> None:
    for block in network.modules():
        if isinstance(block, Block):
            if isinstance(block.spatial, ParallelKernels | SharedKernels):
                nn.init.zeros_(block.spatial.row_bn.weight)
                nn.init.zeros_(block.spatial.column_bn.weight)
            if isinstance(block.attention, SqueezeExcite):
                nn.init.zeros_(block.attention.expand.weight)
                assert block.attention.expand.bias is not None
                nn.init.zeros_(block.attention.expand.bias)
                block.conv3.weight *= 2
    stages = [stage for stage in network.stages if isinstance(stage, Stage)]
    for stage, following in zip_longest(stages, stages[1:]):
        if stage.first_to_last:
            _take_the_mean(stage, network.classifier if following is None else following)


def _take_the_mean(stage: Stage, reader: Stage | nn.Linear) -> None:
    """Makes of x + first what the mean m of the two would give, doubled: relu(2 F(m) + 2 m) = 2 relu(F(m) + m)."""
    last = stage.blocks[-1]
    assert isinstance(last, Block)
    last.conv1.weight *= 0.5
    last.bn3.weight.mul_(2)
    last.bn3.bias.mul_(2)
    if isinstance(reader, nn.Linear):
        reader.weight *= 0.5
        return
    first = reader.blocks[0]
    assert isinstance(first, Block) and isinstance(first.shortcut, nn.Sequential)
    projection = first.shortcut[0]
    assert isinstance(projection, nn.Conv2d)
    first.conv1.weight *= 0.5
    projection.weight *= 0.5


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [repr(error)])[0]


def _unusable(found: str) -> CheckpointError:
    return CheckpointError(
        found,
        expected="torchvision's or timm's state dict of ResNeXt-50 32x4d (for ssresnext50_32x4d, se_resnext50_32x4d, "
        "resnext50_32x4d) or ResNet-50 (resnet50), or torchvision's of Swin-T (swin_t), as .safetensors or .pth",
        next_step="ssr-edge train --arch ssresnext50_32x4d --init-from resnext50_32x4d-1a0047aa.pth",
    )
