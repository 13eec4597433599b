from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ssr_edge.evaluation.metrics import measure
from ssr_train.data.breakhis import read
from ssr_train.data.dataset import LabeledImages, load_images, normalize, to_rgb
from ssr_train.evaluation.predict import evaluate_images
from ssr_train.models.network import SSResNeXt

MakeNetwork = Callable[..., SSResNeXt]


@pytest.fixture(scope="module")
def images(breakhis_tree: Path) -> LabeledImages:
    """Nineteen small images: more than one batch, and an incomplete last one."""
    return load_images(read(breakhis_tree)[::4][:19], 64)


def test_logits_and_metrics_are_those_of_the_network_image_by_image(
    make_network: MakeNetwork, images: LabeledImages
) -> None:
    network = make_network("ssresnext14_8x4d")
    with torch.inference_mode():
        expected = torch.cat([network(normalize(to_rgb(images.pixels[n : n + 1]))) for n in range(len(images))])
    metrics, logits = evaluate_images(network, images, torch.device("cpu"), None)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    assert metrics == measure(images.targets.numpy(), expected.argmax(dim=1).numpy())
    assert metrics.images == 19


def test_a_network_in_training_mode_is_evaluated_in_evaluation_mode(
    make_network: MakeNetwork, images: LabeledImages
) -> None:
    expected = evaluate_images(make_network("ssresnext14_8x4d"), images, torch.device("cpu"), None)
    network = make_network("ssresnext14_8x4d").train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = evaluate_images(network, images, torch.device("cpu"), None)
    assert torch.equal(found[1], expected[1])
    assert not network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_bfloat16_is_close_and_comes_back_as_float32(make_network: MakeNetwork, images: LabeledImages) -> None:
    network = make_network("ssresnext14_8x4d")
    _, full = evaluate_images(network, images, torch.device("cpu"), None)
    _, short = evaluate_images(network, images, torch.device("cpu"), torch.bfloat16)
    assert short.dtype == torch.float32
    assert 0 < float((short - full).abs().max()) < 0.05 * float(full.abs().max())
