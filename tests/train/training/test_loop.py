"""Training on the tiny tree: it learns, it can be killed at any time, and it stops when the loss is not finite."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ssr_edge.common.errors import DataError, TrainingError
from ssr_edge.evaluation.metrics import Metrics
from ssr_edge.images.preprocess import IMAGE_SIZE
from ssr_train.data.augment import STORED_SIZE
from ssr_train.data.breakhis import Record, contradictory_twins, read
from ssr_train.data.dataset import load_images, normalize, to_rgb
from ssr_train.data.image_cache import open_image_cache
from ssr_train.data.splits import Split, make_split
from ssr_train.evaluation.predict import evaluate_images
from ssr_train.models.arch import ArchConfig, ssresnext14_8x4d
from ssr_train.models.network import SSResNeXt
from ssr_train.training import loop
from ssr_train.training.checkpoint import load_checkpoint
from ssr_train.training.loop import TrainOptions, train
from ssr_train.training.losses import classification_loss
from ssr_train.training.recipe import load_recipe

pytestmark = pytest.mark.slow

# All mechanisms of the paper's network at a thousandth of its size.
ARCH = ArchConfig(
    name="miniature", blocks=(3, 1, 1, 1), stem_width=8, group_width=8, out_width=16, groups=4, se_reduction=4
)
# With averaged weights, warmup and decay, so that the whole state of a run matters; three steps per epoch.
RECIPE = load_recipe("modern").model_copy(
    update={"epochs": 3, "batch_size": 16, "warmup_epochs": 1.0, "weight_decay": 0.05, "ema_decay": 0.8}
)


class Killed(BaseException):
    """Simulates a kill: no code catches it."""


def options(run: Path, data: Path, **changes: Any) -> TrainOptions:
    return replace(TrainOptions(run, data, ARCH, RECIPE, 100, "image", 4, "cpu"), **changes)


def losses(run: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl, without the duration of each epoch."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, breakhis_tree: Path) -> tuple[Path, list[str]]:
    """A finished run of three epochs, and the lines it logged."""
    run = tmp_path_factory.mktemp("unbroken")
    logged: list[str] = []
    train(options(run, breakhis_tree), False, logged.append)
    return run, logged


def test_a_run_leaves_its_split_its_metrics_and_its_checkpoint(unbroken: tuple[Path, list[str]]) -> None:
    run, _ = unbroken
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoint.safetensors",
        "curves.svg",
        "metrics.jsonl",
        "split.csv",
        "state.safetensors",
    ]
    rows = losses(run)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[2]["train_loss"] < rows[0]["train_loss"]
    # Three steps per epoch: the last step of the first epoch ends the warmup, the very last rate is close to zero.
    steps = 55 // RECIPE.batch_size
    assert rows[0]["learning_rate"] == pytest.approx(RECIPE.learning_rate)
    assert rows[2]["learning_rate"] == pytest.approx(RECIPE.learning_rate_at(3 * steps - 1, steps))


def test_dropped_twins_are_logged_and_the_split_is_kept(unbroken: tuple[Path, list[str]]) -> None:
    run, logged = unbroken
    assert logged[0].startswith("dropped 2 images")
    assert "SOB_M_DC-14-13412-100-001, SOB_M_LC-14-13412-100-001" in logged[0]
    split = Split.read(run / "split.csv")
    assert len(split.parts) == 80
    assert not any("13412" in name for name in split.parts)
    assert load_checkpoint(run / "checkpoint.safetensors")[1].to_split() == split


def test_the_card_has_the_metrics_of_the_final_weights(unbroken: tuple[Path, list[str]], breakhis_tree: Path) -> None:
    network, card = load_checkpoint(unbroken[0] / "checkpoint.safetensors")
    assert (card.seed, card.epochs, card.magnification, card.data) == (4, 3, 100, str(breakhis_tree))
    assert ArchConfig.from_dict(card.arch) == ARCH
    records = read(breakhis_tree)
    for part, count in (("val", 10), ("test", 15)):
        images = load_images(card.to_split().select(records, part), 224)  # type: ignore[arg-type]
        assert len(images) == count
        assert Metrics(**card.metrics[part]) == evaluate_images(network, images, torch.device("cpu"), None)[0]


def test_another_seed_gives_another_run(breakhis_tree: Path, tmp_path: Path) -> None:
    short = RECIPE.model_copy(update={"schedule": "step", "epochs": 1})
    for name, seed in (("a", 4), ("b", 5)):
        train(options(tmp_path / name, breakhis_tree, recipe=short, seed=seed), False, lambda line: None)
    assert losses(tmp_path / "a") != losses(tmp_path / "b")


@pytest.mark.parametrize("moment", ["before the line", "between line and state", "after the state", "within epoch 2"])
def test_a_killed_and_resumed_run_has_the_same_result(
    unbroken: tuple[Path, list[str]], breakhis_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    kill(monkeypatch, moment)
    with pytest.raises(Killed):
        train(options(tmp_path, breakhis_tree), False, lambda line: None)
    monkeypatch.undo()
    assert not (tmp_path / "checkpoint.safetensors").exists()
    train(options(tmp_path, breakhis_tree), True, lambda line: None)

    assert losses(tmp_path) == losses(unbroken[0])
    expected, found = (load_checkpoint(run / "checkpoint.safetensors")[0] for run in (unbroken[0], tmp_path))
    assert all(torch.equal(tensor, found.state_dict()[name]) for name, tensor in expected.state_dict().items())


def test_a_resumed_run_keeps_its_split_even_if_images_changed(
    unbroken: tuple[Path, list[str]], breakhis_tree: Path, tmp_path: Path
) -> None:
    tree, run = tmp_path / "tree", tmp_path / "run"
    shutil.copytree(breakhis_tree, tree)
    shutil.copytree(unbroken[0], run)
    (run / "checkpoint.safetensors").unlink()
    before = Split.read(run / "split.csv")
    last = next(tree.rglob("SOB_B_A-14-22549AB-100-005.png"))
    last.rename(last.with_name("SOB_B_A-14-22549AB-100-000.png"))
    records = contradictory_twins(read(tree, 100))[0]
    assert make_split(records, "image", 4) != before
    train(options(run, tree), True, lambda line: None)
    assert load_checkpoint(run / "checkpoint.safetensors")[1].to_split() == before


def kill(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Makes the next run raise Killed at a moment of its first epochs."""

    def dying(real: Callable[..., Any], calls: int, after: bool) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls -= 1
            result = real(*arguments) if calls or after else None
            if not calls:
                raise Killed
            return result

        return call

    name, calls, after = {
        "before the line": ("log_epoch", 1, False),
        "between line and state": ("save_state", 1, False),
        "after the state": ("save_state", 1, True),
        "within epoch 2": ("backward", 3 + 2, True),
    }[moment]
    monkeypatch.setattr(loop, name, dying(getattr(loop, name), calls, after))


def test_resuming_a_finished_run_changes_nothing(
    unbroken: tuple[Path, list[str]], breakhis_tree: Path, tmp_path: Path
) -> None:
    shutil.copytree(unbroken[0], tmp_path / "run")
    train(options(tmp_path / "run", breakhis_tree), True, lambda line: None)
    for name in ("metrics.jsonl", "split.csv", "state.safetensors", "checkpoint.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (unbroken[0] / name).read_bytes(), name


def test_a_loss_that_is_not_finite_ends_the_run(breakhis_tree: Path, tmp_path: Path) -> None:
    unstable = RECIPE.model_copy(update={"learning_rate": 1e30, "schedule": "step"})
    with pytest.raises(TrainingError, match=r"(nan|inf) in epoch 1") as error:
        train(options(tmp_path, breakhis_tree, recipe=unstable), False, lambda line: None)
    assert "learning_rate" in error.value.next_step
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_an_unreadable_image_is_logged_and_left_out(breakhis_tree: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(breakhis_tree, tree)
    broken = next(tree.rglob("SOB_B_A-14-22549AB-100-003.png"))
    broken.write_bytes(b"not a PNG")
    logged: list[str] = []
    train(options(tmp_path / "run", tree, recipe=RECIPE.model_copy(update={"epochs": 1})), False, logged.append)
    (line,) = [line for line in logged if line.startswith("left out")]
    assert str(broken) in line


def test_a_part_without_a_readable_image_is_refused(breakhis_tree: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(breakhis_tree, tree)
    for path in tree.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError) as raised:
        train(options(tmp_path / "run", tree), False, lambda line: None)
    assert "train" in raised.value.found


def test_sixteen_images_can_be_overfitted(demo_images: list[Path]) -> None:
    records = [
        Record(path.stem, path, path.stem.split("_")[2].split("-")[0], "p", 100)
        for label in ("B_A", "B_F", "B_PT", "B_TA", "M_DC", "M_LC", "M_MC", "M_PC")
        for path in [path for path in demo_images if f"SOB_{label}-" in path.name][:2]
    ]
    images = load_images(records, 64)
    assert sorted(images.targets.tolist()) == sorted([*range(8)] * 2)
    torch.manual_seed(0)
    network = SSResNeXt(ssresnext14_8x4d()).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
    x, history = normalize(to_rgb(images.pixels)), []
    for _ in range(40):
        loss = classification_loss(network(x), images.targets, 0.5, 0.0)
        history.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert history[0] == pytest.approx(0.5 * 2.08 + 0.5 * 0.6, abs=0.4)
    assert history[-1] < 0.05 * history[0]
    assert network(x).argmax(dim=1).tolist() == images.targets.tolist()


def test_the_fused_optimizer_takes_the_same_steps_as_the_plain_one(make_network: Callable[..., SSResNeXt]) -> None:
    networks = [make_network("ssresnext14_8x4d").to(memory_format=torch.channels_last).train() for _ in range(2)]
    # Channels last, as in a run: the fused step iterates over memory and must not mix up weights.
    fused, plain = (loop._optimizer(network, RECIPE) for network in networks)
    for group in plain.param_groups:
        group["fused"] = False
    for _ in range(3):
        for pair in zip(*(network.parameters() for network in networks), strict=True):
            pair[0].grad = torch.randn_like(pair[0])
            pair[1].grad = pair[0].grad.clone()
        fused.step()
        plain.step()
    for found, expected in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_the_same_seed_gives_the_same_run_with_a_cache_and_tensorboard(
    unbroken: tuple[Path, list[str]], breakhis_tree: Path, tmp_path: Path
) -> None:
    run, cache, logged = tmp_path / "run", tmp_path / "cache", list[str]()
    train(options(run, breakhis_tree, cache=cache, tensorboard=True), False, logged.append)
    assert (run / "tensorboard").exists() and not (unbroken[0] / "tensorboard").exists()
    assert losses(run) == losses(unbroken[0])
    assert logged[-3:] == [unbroken[1][-3].replace(str(unbroken[0]), str(run)), *unbroken[1][-2:]]
    # The next run finds all images decoded.
    logged.clear()
    assert open_image_cache(cache, read(breakhis_tree, 100), (STORED_SIZE, IMAGE_SIZE), logged.append) is not None
    assert logged == []
