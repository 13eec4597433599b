"""study.json: what a study is made of. The same command goes on with it; other options under its folder are refused."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import replacing
from ssr_train.data.splits import SplitKind
from ssr_train.models.arch import arch_by_name
from ssr_train.training.loop import TrainOptions
from ssr_train.training.recipe import Recipe, recipe_names

PLAN = "study.json"
RUNS = "runs"


@dataclass(frozen=True, order=True)
class Model:
    """What is compared: an architecture trained by a recipe, both by name."""

    arch: str
    recipe: str


@dataclass(frozen=True)
class Cell:
    """What is averaged over: the seeds of one model under one kind of split at one magnification."""

    model: Model
    split: SplitKind
    magnification: int


@dataclass(frozen=True)
class RunSpec:
    """One training run. seed: decides the split as well as the training, so models are paired by seed."""

    cell: Cell
    seed: int

    @property
    def name(self) -> str:
        """Its folder below runs/."""
        model = self.cell.model
        arch = model.arch.replace("/", "-")
        return f"{arch}-{model.recipe}-{self.cell.split}-{self.cell.magnification}x-seed{self.seed}"


class StudyPlan(BaseModel):
    """The grid and the data it runs on.

    data: absolute folder. images: how many images of each magnification lay there. epochs: instead of the recipes'
    (their own `epochs` hold it already). seeds: how many, from 0 on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[int, Field(ge=1, le=1)] = 1
    data: str
    images: dict[int, int]
    architectures: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    epochs: int | None
    splits: tuple[SplitKind, ...]
    seeds: Annotated[int, Field(ge=1)]

    @property
    def magnifications(self) -> tuple[int, ...]:
        """Those of the grid, ascending."""
        return tuple(sorted(self.images))

    @property
    def models(self) -> tuple[Model, ...]:
        """Every architecture by every recipe, in the order asked for."""
        return tuple(Model(arch, recipe.name) for arch, recipe in product(self.architectures, self.recipes))

    def runs(self) -> list[RunSpec]:
        """Every run; seed by seed, so that a grid that is stopped has as many repeats of one model as of another."""
        cells = product(self.splits, self.magnifications, self.models)
        every = [Cell(model, split, magnification) for split, magnification, model in cells]
        return [RunSpec(cell, seed) for seed in range(self.seeds) for cell in every]

    def options(self, run: RunSpec, folder: Path, device: str) -> TrainOptions:
        """What `ssr-edge train` would be told for this run."""
        recipe = next(recipe for recipe in self.recipes if recipe.name == run.cell.model.recipe)
        return TrainOptions(
            run=folder / RUNS / run.name,
            data=Path(self.data),
            arch=arch_by_name(run.cell.model.arch),
            recipe=recipe,
            magnification=run.cell.magnification,
            split=run.cell.split,
            seed=run.seed,
            device=device,
        )

    def command(self, folder: Path) -> str:
        """The command that makes this study, or goes on with it."""
        shipped = recipe_names()
        words = ["ssr-edge", "study", "--data", self.data]
        words += [word for arch in self.architectures for word in ("--arch", arch)]
        for recipe in self.recipes:
            words += ["--recipe", recipe.name if recipe.name in shipped else f"{recipe.name}.toml"]
        words += [word for magnification in self.magnifications for word in ("--magnification", str(magnification))]
        words += [word for split in self.splits for word in ("--split", split)]
        words += ["--seeds", str(self.seeds)] + ([] if self.epochs is None else ["--epochs", str(self.epochs)])
        return shlex.join([*words, "-o", str(folder)])


def read_plan(folder: Path) -> StudyPlan:
    """Reads the folder's study.json.

    Raises:
        UsageError: the folder holds no study.
    """
    try:
        return StudyPlan.model_validate_json((folder / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{folder} holds no study: {str(error).splitlines()[0]}",
            expected=f"a folder with the {PLAN} that ssr-edge study wrote",
            next_step=f"ssr-edge study --data FOLDER -o {folder}",
        ) from error


def settle_plan(plan: StudyPlan, folder: Path) -> None:
    """Writes the plan, or checks it against the one that is there: a study may grow, but not change.

    Raises:
        UsageError: the folder holds a study that this plan does not contain.
    """
    if (folder / PLAN).exists():
        old = read_plan(folder)
        if lost := _lost(old, plan):
            raise UsageError(
                f"{folder} holds a study with other options: {'; '.join(lost)}",
                expected="the options it was begun with, or more architectures, recipes, splits, magnifications or "
                "seeds",
                next_step=f"{old.command(folder)}  (or another folder with -o)",
            )
    with replacing(folder / PLAN) as temporary:
        temporary.write_text(plan.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _lost(old: StudyPlan, new: StudyPlan) -> list[str]:
    """What the old plan has and the new one has not, or has otherwise."""
    lost = []
    if old.data != new.data:
        lost.append(f"its data is {old.data}")
    for magnification, count in old.images.items():
        if (now := new.images.get(magnification)) != count:
            lost.append(f"it has {count} images of {magnification}X, not {now or 'none'}")
    lost += _missing("architecture", old.architectures, new.architectures)
    lost += _missing("split", old.splits, new.splits)
    for recipe in old.recipes:
        if recipe not in new.recipes:
            lost.append(f"its recipe {recipe.name} has {recipe.epochs} epochs, or differs in another value")
    if old.seeds > new.seeds:
        lost.append(f"it has {old.seeds} seeds")
    return lost


def _missing(what: str, old: Sequence[str], new: Sequence[str]) -> list[str]:
    return [f"it has the {what} {name}" for name in old if name not in new]
