from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ssr_edge.common.errors import UsageError
from ssr_train.study.plan import PLAN, StudyPlan, read_plan, settle_plan
from ssr_train.training.recipe import load_recipe
from tests.train.study.made_up import plan


def test_the_grid_is_the_product_and_goes_seed_by_seed() -> None:
    made = plan(
        "resnet50", "ssresnext50_32x4d/shared", recipes=("paper", "modern"), splits=("image", "patient"), seeds=3
    )
    runs = made.runs()
    assert len(runs) == len({run.name for run in runs}) == 2 * 2 * 2 * 4 * 3
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
    assert runs[0].name == "resnet50-paper-image-40x-seed0"
    assert "ssresnext50_32x4d-shared-modern-patient-400x-seed2" in {run.name for run in runs}


def test_a_run_is_trained_with_its_seed_for_split_and_weights(tmp_path: Path) -> None:
    made = plan("resnet50", recipes=("modern",))
    options = made.options(made.runs()[-1], tmp_path, "cpu")
    assert (options.seed, options.split, options.magnification, options.arch.name) == (9, "image", 400, "resnet50")
    assert options.recipe == load_recipe("modern")
    assert options.run == tmp_path / "runs" / "resnet50-modern-image-400x-seed9"


def test_a_plan_is_read_back_as_it_was_settled_and_settled_again(tmp_path: Path) -> None:
    made = plan("resnet50", "resnext50_32x4d", recipes=("paper", "cpu"))
    settle_plan(made, tmp_path)
    assert read_plan(tmp_path) == made
    before = (tmp_path / PLAN).read_bytes()
    settle_plan(made, tmp_path)
    assert (tmp_path / PLAN).read_bytes() == before


def test_a_study_may_grow(tmp_path: Path) -> None:
    settle_plan(plan("resnet50", images={100: 527}, seeds=2), tmp_path)
    grown = plan("resnet50", "resnext50_32x4d", recipes=("paper", "modern"), images={100: 527, 40: 5}, seeds=3)
    settle_plan(grown, tmp_path)
    assert read_plan(tmp_path) == grown


OLD = plan("resnet50", "resnext50_32x4d", images={40: 5, 100: 527}, splits=("image", "patient"), seeds=3)


@pytest.mark.parametrize(
    ("changes", "change"),
    [
        ({"data": "/elsewhere"}, "its data is /data"),
        ({"images": {40: 5, 100: 528}}, "it has 527 images of 100X, not 528"),
        ({"images": {40: 5}}, "it has 527 images of 100X, not none"),
        ({"architectures": ("resnet50",)}, "it has the architecture resnext50_32x4d"),
        ({"splits": ("patient",)}, "it has the split image"),
        ({"seeds": 2}, "it has 3 seeds"),
        ({"recipes": (load_recipe("paper").model_copy(update={"epochs": 3}),)}, "recipe paper (with 100 epochs)"),
    ],
)
def test_other_options_under_the_same_folder_are_refused(
    tmp_path: Path, changes: dict[str, object], change: str
) -> None:
    settle_plan(OLD, tmp_path)
    with pytest.raises(UsageError) as error:
        settle_plan(OLD.model_copy(update=changes), tmp_path)
    assert change in error.value.found
    assert OLD.command(tmp_path) in error.value.next_step
    assert read_plan(tmp_path) == OLD


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"version": 2}'])
def test_a_damaged_plan_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / PLAN).write_bytes(content)
    with pytest.raises(UsageError) as raised:
        read_plan(tmp_path)
    assert str(tmp_path) in raised.value.found
    with pytest.raises(UsageError) as raised:
        settle_plan(OLD, tmp_path)
    assert str(tmp_path) in raised.value.found
    assert (tmp_path / PLAN).read_bytes() == content


def test_the_command_has_every_option(tmp_path: Path) -> None:
    made = StudyPlan(**(OLD.model_dump() | {"epochs": 7, "data": "/my data"}))
    words = shlex.split(made.command(tmp_path))
    assert words[:4] == ["ssr-edge", "study", "--data", "/my data"]
    assert words[-8:] == ["--split", "patient", "--seeds", "3", "--epochs", "7", "-o", str(tmp_path)]
    assert [words[at + 1] for at, word in enumerate(words) if word == "--magnification"] == ["40", "100"]
