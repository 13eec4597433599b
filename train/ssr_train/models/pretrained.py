"""Initializes a network from public ImageNet weights (`ssr-edge train --init-from FILE`), keeping their features.

Modules that the public network does not have start without effect, but can learn:

- The BatchNorms of the 1x3 and 3x1 kernels start with a scale of zero, so their output is exactly zero. The scale has
  a gradient from the first step, the kernels from the second. (Zero kernels with a nonzero scale would not work:
  BatchNorm would divide by a deviation of zero.)
- Attention starts at exactly 1/2 everywhere (the last weights and biases are zero, and sigmoid(0) = 1/2), and the
  weights of conv3 start doubled. Both factors are powers of two, so nothing is rounded.
- `first_to_last`, the addition of the first output of a stage to the input of its last block, has no weight that could
  start at zero. Instead, the last block gets the mean of the two rather than their sum, which keeps the scale that its
  BatchNorms expect: its input weights are halved, its output is doubled, and the weights of the next layer are halved.
  This is exact, but for a different network: a ResNeXt-50 whose last blocks get this mean. Without `first_to_last`, the
  features are those of the public network.

The classifier keeps its random weights, because ImageNet has other classes.
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
    """Loads a state dict with torchvision's names (timm's are the same for ResNet and ResNeXt) into a new network.

    path: .safetensors, or .pth with tensors only. ResNeXt-50 32x4d fits ssresnext50_32x4d and its ablations with
    groups, ResNet-50 fits resnet50, and Swin-T fits swin_t. sha256: expected hash of the file; None is not checked.

    Raises:
        CheckpointError: the file can't be read, has another hash, or has missing, unknown or misshapen tensors.
    """
    arch = network.arch
    if not isinstance(arch, ArchConfig | SwinConfig):
        raise _unusable(f"{arch.name} can't be initialized from public weights")
    if sha256 is not None and sha256_of(path) != sha256:
        raise _unusable(f"{path} has changed since the run started: its SHA-256 was {sha256}")
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


# torchvision's name of a tensor -> our name, before it is adapted to the kind of kernels.
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
            # weights_only: unpickling can run code; this loads tensors only.
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, SafetensorError, EOFError, ValueError, KeyError, IndexError) as error:
        raise _unusable(f"{path} can't be read: {_first_line(error)}") from error
    except Exception as error:  # pickle.UnpicklingError, and anything a damaged pickle may raise
        raise _unusable(f"{path} contains more than tensors, or is damaged: {_first_line(error)}") from error
    if not (isinstance(state, dict) and state and all(isinstance(value, Tensor) for value in state.values())):
        raise _unusable(f"{path} contains no state dict")
    return {str(name): tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def _check(path: Path, found: Mapping[str, Tensor], network: Network) -> None:
    wanted = network.state_dict()
    extra = sorted(found.keys() - wanted.keys())
    missing = sorted(name for name in wanted.keys() - found.keys() if not _starts_neutral(name))
    shapes = [name for name in found.keys() & wanted.keys() if found[name].shape != wanted[name].shape]
    for problem, names in (("missing from", missing), ("unknown to", extra)):
        if names:
            where = path if problem == "missing from" else network.arch.name
            raise _unusable(
                f"{path} does not fit {network.arch.name}: {len(names)} tensors are {problem} {where}, e.g. {names[0]}"
            )
    if shapes:
        name = min(shapes)
        raise _unusable(
            f"{path}: {name} has the shape {list(found[name].shape)}; {network.arch.name} needs "
            f"{list(wanted[name].shape)}"
        )


def _starts_neutral(name: str) -> bool:
    """Whether public networks do not have this tensor."""
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
            _use_mean(stage, network.classifier if following is None else following)


def _use_mean(stage: Stage, reader: Stage | nn.Linear) -> None:
    """Turns the sum x + first into the mean m of the two, doubled: relu(2 F(m) + 2 m) = 2 relu(F(m) + m)."""
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
