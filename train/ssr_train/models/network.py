"""SSResNeXt (Xu, Li and Wu 2024, section 3) and, with config fields turned off, its ablations of Table 2."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssr_train.models.arch import Arch, ArchConfig


class Network(nn.Module):
    """Base of all architectures: a feature map, its mean over positions, and a linear classifier of the mean.

    stem: the first convolution. classifier: the last layer.
    """

    arch: Arch
    stem: nn.Conv2d
    classifier: nn.Linear

    def feature_map(self, x: Tensor) -> Tensor:
        """Normalized RGB float [N, 3, H, W] -> [N, C, H/32, W/32], or finer."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Normalized RGB float [N, 3, H, W] -> logits [N, classes]."""
        logits: Tensor = self.classifier(self.feature_map(x).mean((2, 3)))
        return logits

    def forward_with_cam(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits as in `forward`, and class activation maps of the same pass: float [N, classes, h, w].

        The map of a class is its classifier weights times the feature map (Zhou et al. 2016, arXiv 1512.04150), without
        the bias, so that its mean over positions plus the bias is exactly the logit.
        """
        features = self.feature_map(x)  # [N, C, h, w]
        cam = self.classifier.weight @ features.flatten(2)  # [N, classes, h * w]
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits, cam.reshape(-1, cam.shape[1], *features.shape[2:])


class ResidualBlock(nn.Module):
    """Base of the blocks whose folding is checked block by block."""


class ParallelKernels(nn.Module):
    """Grouped 3x3, 1x3 and 3x1 kernels side by side, each with its own weights and BatchNorm, summed (eq. 4)."""

    def __init__(self, channels: int, stride: int, groups: int) -> None:
        super().__init__()

        def conv(kernel: tuple[int, int], padding: tuple[int, int]) -> nn.Conv2d:
            return nn.Conv2d(channels, channels, kernel, stride, padding, groups=groups, bias=False)

        self.square, self.square_bn = conv((3, 3), (1, 1)), nn.BatchNorm2d(channels)
        self.row, self.row_bn = conv((1, 3), (0, 1)), nn.BatchNorm2d(channels)
        self.column, self.column_bn = conv((3, 1), (1, 0)), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H/stride, W/stride]."""
        total: Tensor = self.square_bn(self.square(x)) + self.row_bn(self.row(x)) + self.column_bn(self.column(x))
        return total


class SharedKernels(nn.Module):
    """One grouped 3x3 weight whose middle row and middle column are also the 1x3 and 3x1 kernels.

    The literal reading of "share the same weight" in the paper; each of the three has its own BatchNorm.
    """

    def __init__(self, channels: int, stride: int, groups: int) -> None:
        super().__init__()
        self.square = nn.Conv2d(channels, channels, 3, stride, 1, groups=groups, bias=False)
        self.square_bn = nn.BatchNorm2d(channels)
        self.row_bn = nn.BatchNorm2d(channels)
        self.column_bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H/stride, W/stride]."""
        weight, stride, groups = self.square.weight, self.square.stride, self.square.groups  # [C, C/groups, 3, 3]
        row = F.conv2d(x, weight[:, :, 1:2, :], stride=stride, padding=(0, 1), groups=groups)
        column = F.conv2d(x, weight[:, :, :, 1:2], stride=stride, padding=(1, 0), groups=groups)
        total: Tensor = self.square_bn(self.square(x)) + self.row_bn(row) + self.column_bn(column)
        return total


class SingleKernel(nn.Sequential):
    """One grouped 3x3 kernel with its BatchNorm, for the ablations."""

    def __init__(self, channels: int, stride: int, groups: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, stride, 1, groups=groups, bias=False),
            nn.BatchNorm2d(channels),
        )


class SqueezeExcite(nn.Module):
    """Channel attention s = sigmoid(W2 relu(W1 z)), z the global average of each channel (eq. 3)."""

    def __init__(self, channels: int, reduction: int, bias: bool = True) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // reduction, 1, bias=bias)
        self.expand = nn.Conv2d(channels // reduction, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape, each channel scaled by its weight in (0, 1)."""
        scale = x.mean((2, 3), keepdim=True)  # [N, C, 1, 1]
        scale = torch.sigmoid(self.expand(F.relu(self.reduce(scale))))
        return x * scale


_SPATIAL: dict[str, type[nn.Module]] = {
    "single": SingleKernel,
    "parallel": ParallelKernels,
    "shared": SharedKernels,
}


class Block(ResidualBlock):
    """Small-SE-ResNeXt block: 1x1 -> parallel grouped kernels -> attention -> 1x1, added to the shortcut."""

    def __init__(self, in_channels: int, group_width: int, out_channels: int, stride: int, arch: ArchConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, group_width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(group_width)
        self.spatial = _SPATIAL[arch.kernels](group_width, stride, arch.groups)
        self.attention = SqueezeExcite(group_width, arch.se_reduction) if arch.se_reduction else nn.Identity()
        self.conv3 = nn.Conv2d(group_width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H/stride, W/stride]."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.attention(F.relu(self.spatial(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.shortcut(x))


class Stage(nn.Module):
    """One `Conv_Layer` of the paper: a sequence of blocks; the first output is also added to the last input."""

    def __init__(self, blocks: Sequence[ResidualBlock], first_to_last: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        # With two blocks, the first output is the last input: adding it would only double it.
        self.first_to_last = first_to_last and len(blocks) > 2

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H/stride, W/stride]."""
        first = x = self.blocks[0](x)
        for block in self.blocks[1:-1]:
            x = block(x)
        if self.first_to_last:
            x = x + first
        return x if len(self.blocks) == 1 else self.blocks[-1](x)


class SSResNeXt(Network):
    """The classifier: normalized RGB float [N, 3, 224, 224] -> logits [N, classes]."""

    arch: ArchConfig

    def __init__(self, arch: ArchConfig, classes: int = 8) -> None:
        super().__init__()
        self.arch = arch
        self.stem = nn.Conv2d(3, arch.stem_width, 7, 2, 3, bias=False)
        self.stem_bn = nn.BatchNorm2d(arch.stem_width)
        stages = []
        in_channels = arch.stem_width
        for number, count in enumerate(arch.blocks):
            group_width, out_channels = arch.group_width << number, arch.out_width << number
            blocks = []
            for position in range(count):
                stride = 2 if position == 0 and number > 0 else 1
                blocks.append(Block(in_channels, group_width, out_channels, stride, arch))
                in_channels = out_channels
            stages.append(Stage(blocks, arch.first_to_last))
        self.stages = nn.ModuleList(stages)
        self.classifier = nn.Linear(in_channels, classes)
        self._initialize()

    def feature_map(self, x: Tensor) -> Tensor:
        """Normalized RGB float [N, 3, H, W] -> [N, 8 * out_width, H/32, W/32], not negative."""
        x = F.relu(self.stem_bn(self.stem(x)))  # [N, stem, H/2, W/2]
        x = F.max_pool2d(x, 3, 2, 1)  # [N, stem, H/4, W/4]
        for stage in self.stages:
            x = stage(x)
        return x

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, Block):
                # Each block starts as its shortcut (Goyal et al. 2017, section 5.1), so that early steps are stable.
                nn.init.zeros_(module.bn3.weight)
