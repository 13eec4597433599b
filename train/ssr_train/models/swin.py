"""Swin Transformer (Liu et al. 2021, arXiv 2103.14030), the transformer baseline of Table 3.

Wraps torchvision's implementation; its modules have the same names as in the other architectures.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformer

from ssr_train.models.arch import SwinConfig
from ssr_train.models.network import Network

PATCH, WINDOW = 4, 7
# torchvision's value for Swin-T.
_STOCHASTIC_DEPTH = 0.2


class Swin(Network):
    """The classifier: normalized RGB float [N, 3, 224, 224] -> logits [N, classes]."""

    def __init__(self, arch: SwinConfig, classes: int = 8) -> None:
        super().__init__()
        self.arch = arch
        swin = SwinTransformer(
            patch_size=[PATCH, PATCH],
            embed_dim=arch.width,
            depths=list(arch.blocks),
            num_heads=[arch.heads << stage for stage in range(len(arch.blocks))],
            window_size=[WINDOW, WINDOW],
            stochastic_depth_prob=_STOCHASTIC_DEPTH,
            num_classes=classes,
        )
        embedding, *stages = swin.features
        self.stem, self.stem_norm = embedding[0], nn.Sequential(*embedding[1:])
        # Stages alternate with patch mergings.
        self.stages = nn.Sequential(*stages)
        self.norm, self.classifier = swin.norm, swin.head

    def feature_map(self, x: Tensor) -> Tensor:
        """Normalized RGB float [N, 3, H, W] -> [N, 8 * width, H/32, W/32]."""
        x = self.stages(self.stem_norm(self.stem(x)))  # [N, H/32, W/32, 8 * width]
        features: Tensor = self.norm(x).permute(0, 3, 1, 2)
        return features
