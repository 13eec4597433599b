from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as transforms

from ssr_edge.images.preprocess import load
from ssr_train.data.breakhis import Record, read
from ssr_train.data.dataset import draw_order, load_images, normalize, to_rgb


def test_images_come_as_preprocessing_gives_them_in_the_order_of_the_records(breakhis_tree: Path) -> None:
    records = read(breakhis_tree)[::20]
    images = load_images(records, 64)
    assert images.pixels.dtype == np.uint8
    np.testing.assert_array_equal(images.pixels, np.stack([load(record.path, 64) for record in records]))
    assert images.records == records
    assert images.targets.tolist() == [record.target for record in records]
    assert images.unreadable == []
    assert len(images) == len(records) == 5


def test_an_unreadable_image_is_left_out_and_named(breakhis_tree: Path, tmp_path: Path) -> None:
    good = read(breakhis_tree)
    (tmp_path / "half.png").write_bytes(good[0].path.read_bytes()[:200])
    half = Record("half", tmp_path / "half.png", "F", "p", 100)
    gone = Record("gone", tmp_path / "gone.png", "F", "p", 100)
    images = load_images([half, good[0], gone, good[-1]], 32)
    assert images.records == [good[0], good[-1]]
    assert images.targets.tolist() == [0, 7]
    np.testing.assert_array_equal(images.pixels[1], load(good[-1].path, 32))
    assert images.unreadable == [
        f"{half.path}: the image is truncated: its end marker is missing",
        f"{gone.path}: no such file or directory",
    ]


def test_to_rgb_turns_the_channels_around_and_puts_them_first() -> None:
    bgr = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)
    rgb = to_rgb(bgr)
    assert rgb.shape == (2, 3, 2, 3)
    assert rgb.dtype == torch.uint8
    for channel in range(3):
        np.testing.assert_array_equal(rgb[:, channel].numpy(), bgr[..., 2 - channel])


def test_normalize_takes_imagenets_statistics_out() -> None:
    rgb = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).repeat(1, 3, 1, 1)
    expected = [[-2.117904, -2.035714, -1.804444], [2.248908, 2.428571, 2.640000]]
    np.testing.assert_allclose(normalize(rgb)[..., 0, 0].numpy(), expected, atol=1e-6)


def test_normalize_agrees_with_torchvision_on_a_real_image(demo_images: list[Path]) -> None:
    rgb = to_rgb(load(demo_images[0])[None])
    theirs = transforms.normalize(rgb.float() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert float((normalize(rgb) - theirs).abs().max()) == pytest.approx(0, abs=1e-5)


def test_a_shuffled_epoch_shows_each_image_once_and_a_balanced_one_each_class_as_often() -> None:
    targets = torch.tensor([0] * 300 + [2] * 60 + [7] * 40)
    torch.manual_seed(2)
    assert sorted(draw_order(targets, "shuffled").tolist()) == list(range(400))
    order = draw_order(targets, "balanced")
    assert len(order) == 400 and len(set(order.tolist())) < 300
    shown = torch.bincount(targets[torch.cat([draw_order(targets, "balanced") for _ in range(30)])], minlength=8)
    assert shown[[1, 3, 4, 5, 6]].sum() == 0
    # 12,000 draws, a third for each: four standard deviations are 207.
    assert all(abs(int(shown[label]) - 4000) < 207 for label in (0, 2, 7))
    torch.manual_seed(2)
    draw_order(targets, "shuffled")
    assert torch.equal(draw_order(targets, "balanced"), order)
