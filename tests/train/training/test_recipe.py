from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.common.errors import UsageError
from ssr_train.training.recipe import RECIPES, Recipe, load_recipe, recipe_names

PAPER = (RECIPES / "paper.toml").read_text()
STEPS = 50


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_paper_recipe_is_section_3_3() -> None:
    recipe = load_recipe("paper")
    assert (recipe.optimizer, recipe.learning_rate, recipe.batch_size) == ("adam", 0.01, 8)
    assert (recipe.schedule, recipe.dice_weight, recipe.label_smoothing, recipe.ema_decay) == ("step", 0.5, 0.0, 0.0)
    assert recipe.augment.right_angle_rotations and recipe.augment.horizontal_flip and recipe.augment.crop_scale < 1


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 0.01), (4, 0.01), (5, 0.009), (9, 0.009), (10, 0.0081), (50, 0.01 * 0.9**10)]
)
def test_the_papers_learning_rates(epoch: int, rate: float) -> None:
    recipe = load_recipe("paper")
    assert recipe.learning_rate_at(epoch * STEPS, STEPS) == pytest.approx(rate)
    assert recipe.learning_rate_at(epoch * STEPS + STEPS - 1, STEPS) == pytest.approx(rate)


def test_cosine_warms_up_in_a_line_peaks_and_ends_at_zero() -> None:
    recipe = load_recipe("modern")
    total, warm = recipe.epochs * STEPS, 2 * STEPS
    rates = [recipe.learning_rate_at(step, STEPS) for step in range(total + 1)]
    assert rates[:warm] == pytest.approx([0.005 * (step + 1) / warm for step in range(warm)])
    assert rates[warm] == max(rates) == 0.005
    assert rates[(total + warm) // 2] == pytest.approx(0.0025, rel=0.001)
    assert rates[warm:] == sorted(rates[warm:], reverse=True)
    assert rates[-2] == pytest.approx(0, abs=1e-8)
    assert rates[-1] == 0


def test_a_rate_needs_no_epoch_after_its_warm_up() -> None:
    recipe = load_recipe("modern").model_copy(update={"epochs": 2})
    assert all(math.isfinite(recipe.learning_rate_at(step, STEPS)) for step in range(2 * STEPS + 1))


def test_a_file_of_ones_own_is_named_after_itself(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, PAPER.replace("epochs = 100", "epochs = 7")))
    assert recipe == load_recipe("paper").model_copy(update={"name": "mine", "epochs": 7})


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("epochs = ", "epoch = ", "epochs: Field required"),
        ("batch_size = 8", "batch_size = 8\nmomentum = 0.9", "momentum: Extra inputs"),
        ("batch_size = 8", "batch_size = 1", "batch_size: Input should be greater than or equal to 2"),
        ("learning_rate = 0.01", "learning_rate = 0", "learning_rate: Input should be greater than 0"),
        ("learning_rate = 0.01", "learning_rate = nan", "learning_rate"),
        ("dice_weight = 0.5", "dice_weight = 1.5", "dice_weight"),
        ('"adam"', '"sgd"', "optimizer: Input should be 'adam' or 'adamw'"),
        ("crop_scale = 0.6", "crop_scale = 0", "augment.crop_scale"),
        ("[augment]", "[augmentation]", "augment: Field required"),
        ("epochs = 100", "epochs = ", "is not TOML"),
        ("epochs = 100", "epochs = 100\nepochs = 200", "is not TOML"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, before: str, after: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        load_recipe(write(tmp_path, PAPER.replace(before, after, 1)))
    assert message in error.value.found
    assert "mine.toml" in error.value.next_step


def test_a_name_inside_the_file_is_taken(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, 'name = "slow"\n' + PAPER)).name == "slow"


@pytest.mark.parametrize("name", ["papers", "missing.toml", "", "../recipes/paper.tml"])
def test_an_unknown_recipe_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError) as error:
        load_recipe(name)
    assert repr(name) in error.value.found
    assert {"modern", "paper"} <= set(recipe_names())
    assert ", ".join(recipe_names()) in error.value.expected


@given(
    st.one_of(
        st.binary(max_size=100),
        st.lists(st.sampled_from(PAPER.splitlines())).map(lambda lines: "\n".join(lines).encode()),
    )
)
def test_any_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.toml"
    path.write_bytes(content)
    with suppress(UsageError):
        assert isinstance(load_recipe(str(path)), Recipe)


def test_image_sizes_share_the_epochs_in_order() -> None:
    recipe = load_recipe("cpu")
    sizes = [recipe.image_size_at(epoch) for epoch in range(recipe.epochs)]
    assert sizes == [size for size in recipe.image_sizes for _ in range(28)]
    short = recipe.model_copy(update={"epochs": 3, "image_sizes": (64, 128, 160, 224)})
    assert [short.image_size_at(epoch) for epoch in range(3)] == [64, 128, 160]
    assert {load_recipe("modern").image_size_at(epoch) for epoch in range(100)} == {224}
