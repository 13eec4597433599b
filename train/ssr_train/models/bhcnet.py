"""BHCNet (Jiang, Chen, Zhang and Xiao 2019, PLoS ONE 14(3) e0214587): the small SE-ResNet of Table 3.

Sources and our interpretation (only the abstract of the paper was available):

- From a public copy of its Keras code: the small SE-ResNet module is conv 1x3 - 3x1 - 1x3 - 3x1 with BatchNorm and ReLU
  before each convolution, then squeeze-and-excitation with reduction 16 and no biases, added to the shortcut. The first
  module of the network has no leading BatchNorm and ReLU. A shortcut that changes the shape is a 1x1 convolution of the
  raw input, without BatchNorm.
- BHCNet-N is a 3x3 convolution, three stages of N modules, of which the second and third double the channels and halve
  the map, a last BatchNorm and ReLU, the global average and one linear layer; N is 6 for the eight classes.
- Our interpretation: 16 channels in stage 1 (as in the ResNets for small images that it is based on), stride 1 in the
  stem, 224x224 input, and no bias before a BatchNorm, which would cancel it.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ssr_train.models.arch import BhcNetConfig
from ssr_train.models.network import Network, ResidualBlock, SqueezeExcite, Stage


class SmallSeBlock(ResidualBlock):
    """Four one-dimensional convolutions and channel attention, added to the shortcut. preactivate: BN-ReLU first."""

    def __init__(self, in_channels: int, channels: int, stride: int, reduction: int, preactivate: bool) -> None:
        super().__init__()
        self.preactivation = nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU()) if preactivate else nn.Identity()
        self.conv1 = nn.Conv2d(in_channels, channels, (1, 3), stride, (0, 1), bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, (3, 1), 1, (1, 0), bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels, (1, 3), 1, (0, 1), bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.conv4 = nn.Conv2d(channels, channels, (3, 1), 1, (1, 0))
        self.attention = SqueezeExcite(channels, reduction, bias=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Conv2d(in_channels, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, channels, H/stride, W/stride]."""
        y = F.relu(self.bn1(self.conv1(self.preactivation(x))))
        y = F.relu(self.bn2(self.conv2(y)))
        y = F.relu(self.bn3(self.conv3(y)))
        y = self.attention(self.conv4(y))
        total: Tensor = y + self.shortcut(x)
        return total


class BhcNet(Network):
    """The classifier: normalized RGB float [N, 3, 224, 224] -> logits [N, classes]."""

    def __init__(self, arch: BhcNetConfig, classes: int = 8) -> None:
        super().__init__()
        self.arch = arch
        self.stem = nn.Conv2d(3, arch.width, 3, 1, 1, bias=False)
        self.stem_bn = nn.BatchNorm2d(arch.width)
        stages, in_channels = [], arch.width
        for number, count in enumerate(arch.blocks):
            blocks = []
            for position in range(count):
                stride = 2 if position == 0 and number > 0 else 1
                first = position == number == 0
                blocks.append(SmallSeBlock(in_channels, arch.width << number, stride, arch.se_reduction, not first))
                in_channels = arch.width << number
            stages.append(Stage(blocks, first_to_last=False))
        self.stages = nn.ModuleList(stages)
        self.last_bn = nn.BatchNorm2d(in_channels)
        self.classifier = nn.Linear(in_channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def feature_map(self, x: Tensor) -> Tensor:
        """Normalized RGB float [N, 3, H, W] -> [N, 4 * width, H/4, W/4], not negative."""
        x = F.relu(self.stem_bn(self.stem(x)))  # [N, width, H, W]
        for stage in self.stages:
            x = stage(x)
        return F.relu(self.last_bn(x))
