"""Builds the network of a config."""

from __future__ import annotations

from ssr_edge.breakhis.names import CLASSES
from ssr_train.models.arch import Arch, ArchConfig, BhcNetConfig
from ssr_train.models.bhcnet import BhcNet
from ssr_train.models.network import Network, SSResNeXt
from ssr_train.models.swin import Swin


def build_network(arch: Arch, classes: int = len(CLASSES)) -> Network:
    """A network with random weights, in training mode, drawn from torch's global generator."""
    if isinstance(arch, ArchConfig):
        return SSResNeXt(arch, classes)
    return BhcNet(arch, classes) if isinstance(arch, BhcNetConfig) else Swin(arch, classes)
