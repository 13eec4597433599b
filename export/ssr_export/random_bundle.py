"""Bundles with random weights, to measure the speed of an architecture before training it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import InputError, RuntimeUnavailable
from ssr_edge.common.install_hint import install_hint
from ssr_edge.images.preprocess import load
from ssr_edge.machine.environment import installed_versions

if TYPE_CHECKING:
    from ssr_train.models.network import Network

# Enough for BatchNorm statistics and INT8 ranges of realistic magnitude; speed depends on neither.
_IMAGES = 8


@contextmanager
def random_bundle(arch: str, paths: Sequence[Path], seed: int) -> Iterator[Bundle]:
    """Yields a bundle in a temporary folder: the models of an architecture with random weights, without engines.

    arch: a name registered in `ssr_train.models.arch`. paths: image files to set BatchNorm and INT8 ranges with, at
    least one of them readable.

    Raises:
        UsageError: unknown architecture. InputError: none of the images can be read.
        RuntimeUnavailable: the training or the export stage is not installed.
    """
    try:
        import ssr_export.models  # noqa: F401  imports every package that a checkpoint needs
        from ssr_export.build_bundle import build_bundle
        from ssr_export.plan import BundlePlan
        from ssr_train.models.arch import arch_by_name
    except ImportError as error:
        raise RuntimeUnavailable(
            f"--random-weights needs the export stage: {error}",
            expected="the packages of the extra 'export'",
            next_step=install_hint("export"),
        ) from error
    config = arch_by_name(arch)
    with TemporaryDirectory(prefix="ssr-edge-bench-") as temporary:
        folder = Path(temporary)
        images = _copy_readable(paths, folder / "images")
        checkpoint = folder / "random.safetensors"
        _save(checkpoint, _random_network(config.to_dict(), images, seed), seed)
        plan = BundlePlan(checkpoint, folder / "bundle", engines=(), method="percentile", images=folder / "images")
        yield build_bundle(plan, log=lambda text: print(text, file=sys.stderr))


def _copy_readable(paths: Sequence[Path], folder: Path) -> list[Path]:
    folder.mkdir()
    copies: list[Path] = []
    for path in paths:
        try:
            load(path)
        except InputError:
            continue
        copies.append(folder / f"{len(copies)}{path.suffix}")
        shutil.copyfile(path, copies[-1])
        if len(copies) == _IMAGES:
            break
    if not copies:
        raise InputError(
            f"none of the {len(paths)} images can be read",
            expected="at least one readable image",
            next_step="ssr-edge bench --arch NAME --random-weights  (without FOLDER: uses the sample images)",
        )
    return copies


def _random_network(arch: dict[str, object], images: Sequence[Path], seed: int) -> Network:
    import numpy as np
    import torch

    from ssr_train.data.dataset import normalize, to_rgb
    from ssr_train.models.arch import arch_from_dict
    from ssr_train.models.build import build_network
    from ssr_train.models.network import Block

    torch.manual_seed(seed)
    network = build_network(arch_from_dict(arch)).train()
    for module in network.modules():
        if isinstance(module, Block):
            # Training starts from 0, where the output of every branch is zero: an unrealistic input for an engine.
            torch.nn.init.constant_(module.bn3.weight, 0.5)
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # one pass sets the statistics
    with torch.no_grad():
        network(normalize(to_rgb(np.stack([load(path) for path in images]))))
    return network.eval()


def _save(path: Path, network: Network, seed: int) -> None:
    from ssr_train.training.checkpoint import CheckpointCard, save_checkpoint

    card = CheckpointCard(
        arch=network.arch.to_dict(),
        magnification=None,
        recipe={},
        seed=seed,
        epochs=0,
        data="none: random weights",
        split_kind="image",
        split_seed=seed,
        split={},
        metrics={},
        tools=installed_versions(),
    )
    save_checkpoint(path, network, card)
