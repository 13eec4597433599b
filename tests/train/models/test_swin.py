"""Swin: torchvision's own logits with torchvision's weights."""

from __future__ import annotations

import torch
from torchvision.models.swin_transformer import SwinTransformer

from ssr_train.models.arch import SwinConfig
from ssr_train.models.build import build_network
from ssr_train.models.pretrained import OUR_NAME

SMALL = SwinConfig("small", (2, 1, 1, 1), width=24, heads=1)


def test_logits_are_torchvisions_and_the_feature_map_is_what_its_head_averages() -> None:
    torch.manual_seed(0)
    theirs = SwinTransformer([4, 4], 24, [2, 1, 1, 1], [1, 2, 4, 8], [7, 7], num_classes=8).eval()
    ours = build_network(SMALL).eval()
    ours.load_state_dict({OUR_NAME["swin"](name): tensor for name, tensor in theirs.state_dict().items()})
    for size in (224, 128):
        images = torch.randn(2, 3, size, size)
        with torch.inference_mode():
            torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-6)
            assert ours.feature_map(images).shape == (2, 192, size // 32, size // 32)
