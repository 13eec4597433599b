"""Training on a real GPU compared with the CPU: augmented views, metrics, a resumed run."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssr_edge.images.preprocess import load
from ssr_train.data.augment import STORED_SIZE, Augment
from ssr_train.data.breakhis import read
from ssr_train.data.dataset import load_images, to_rgb
from ssr_train.evaluation.predict import evaluate_images
from ssr_train.models.arch import arch_by_name
from ssr_train.models.build import build_network
from ssr_train.training.checkpoint import load_checkpoint
from ssr_train.training.cuda_graph import record_graphs
from ssr_train.training.loop import TrainOptions, train
from ssr_train.training.losses import classification_loss
from ssr_train.training.recipe import load_recipe

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this PyTorch sees no GPU"),
]
ARCH = arch_by_name("ssresnext14_8x4d")
RECIPE = load_recipe("modern").model_copy(update={"epochs": 4, "warmup_epochs": 1.0})


def views(device: str, images: Tensor, **drawn: float) -> Tensor:
    recipe = RECIPE.augment.model_copy(update={"color_jitter": 0.0, "stain": 0.0} | drawn)
    torch.manual_seed(1)
    augment = Augment(recipe)
    return augment(images.to(device), augment.draw(len(images))).cpu()


@pytest.mark.parametrize(
    ("drawn", "most", "mean"), [({}, 1, 0.3), ({"color_jitter": 0.25}, 8, 0.5), ({"stain": 0.2}, 4, 0.5)]
)
def test_views_are_the_cpus(demo_images: list[Path], drawn: dict[str, float], most: int, mean: float) -> None:
    images = to_rgb(np.stack([load(path, STORED_SIZE) for path in demo_images[:16]]))
    apart = (views("cuda", images, **drawn).int() - views("cpu", images, **drawn).int()).abs()
    assert apart.max() <= most
    assert apart.float().mean() <= mean


def test_figures_are_computed_in_fp32(breakhis_tree: Path) -> None:
    images = load_images(read(breakhis_tree, 100)[:16], 224)
    torch.manual_seed(0)
    network = build_network(arch_by_name("ssresnext50_32x4d"))
    # With initial weights each block equals its shortcut.
    for name, parameter in network.named_parameters():
        if name.endswith("bn3.weight"):
            torch.nn.init.constant_(parameter, 0.2)
    expected = evaluate_images(network, images, torch.device("cpu"), None)[1]
    found = evaluate_images(network.cuda(), images, torch.device("cuda"), None)[1]
    # TF32 keeps ten bits of a value: it would be some 1e-3 away.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_graphs_compute_what_single_launches_do() -> None:
    torch.manual_seed(0)
    plain = build_network(ARCH).cuda().to(memory_format=torch.channels_last).train()
    graphed = deepcopy(plain)
    targets = torch.tensor([0, 1, 2, 3]).cuda()
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for size in (64, 96):  # recorded again for another size
            record_graphs(graphed, 4, size, None)
            for _ in range(2):
                images = torch.randn(4, 3, size, size).cuda().to(memory_format=torch.channels_last)
                expected, found = (gradient(network, images, targets) for network in (plain, graphed))
                assert (found - expected).norm() < 1e-3 * expected.norm()
    for name, expected in plain.named_buffers():
        torch.testing.assert_close(graphed.get_buffer(name), expected, rtol=1e-3, atol=1e-4)
    # In evaluation the network takes any batch.
    three = torch.randn(3, 3, 224, 224).cuda()
    with torch.inference_mode():
        torch.testing.assert_close(graphed.eval()(three), plain.eval()(three), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["bhcnet", "swin_t"])
def test_graphs_of_the_baselines(name: str) -> None:
    network = build_network(arch_by_name(name)).cuda().to(memory_format=torch.channels_last).train()
    record_graphs(network, 2, 224, torch.bfloat16)
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        images = torch.randn(2, 3, 224, 224).cuda().to(memory_format=torch.channels_last)
        found.append(gradient(network, images, torch.tensor([0, 1]).cuda()))
    assert all(one.isfinite().all() for one in found) and not torch.equal(*found)


def gradient(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The concatenated gradients of all parameters."""
    network.zero_grad()
    torch.autograd.backward(classification_loss(network(images), targets, 0.5, 0.1))
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None])


def test_a_run_learns_and_resumes(breakhis_tree: Path, tmp_path: Path) -> None:
    whole = TrainOptions(
        tmp_path / "run", breakhis_tree, ARCH, RECIPE, 100, "image", 0, "cuda", cache=tmp_path / "cache"
    )
    shorter = replace(whole, recipe=RECIPE.model_copy(update={"epochs": 2}))
    train(shorter, False, lambda line: None)
    train(whole, True, lambda line: None)
    rows = [json.loads(line) for line in (whole.run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[3]["train_loss"] < rows[0]["train_loss"]
    network, card = load_checkpoint(whole.run / "checkpoint.safetensors")
    images = load_images(card.to_split().select(read(breakhis_tree, 100), "test"), 224)
    assert evaluate_images(network, images, torch.device("cpu"), None)[0].accuracy == card.metrics["test"]["accuracy"]
