"""study.json: the options of a study. The same command resumes it; other options for the same folder are refused."""

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
    """A model to compare: an architecture trained with a recipe, both by name."""

    arch: str
    recipe: str


@dataclass(frozen=True)
class Cell:
    """One model with one kind of split at one magnification; results are averaged over its seeds."""

    model: Model
    split: SplitKind
    magnification: int


@dataclass(frozen=True)
class RunSpec:
    """One training run. seed: of the split and the training, so that models can be paired by seed."""

    cell: Cell
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder in runs/."""
        model = self.cell.model
        arch = model.arch.replace("/", "-")
        return f"{arch}-{model.recipe}-{self.cell.split}-{self.cell.magnification}x-seed{self.seed}"


class StudyPlan(BaseModel):
    """The grid and its data.

    data: absolute path. images: number of images of each magnification. epochs: the --epochs option, which is already
    applied to the recipes. seeds: number of seeds, from 0.
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
        """The magnifications of the grid, ascending."""
        return tuple(sorted(self.images))

    @property
    def models(self) -> tuple[Model, ...]:
        """All combinations of architectures and recipes, in the given order."""
        return tuple(Model(arch, recipe.name) for arch, recipe in product(self.architectures, self.recipes))

    def runs(self) -> list[RunSpec]:
        """All runs, ordered by seed, so that an unfinished grid has equally many repeats of all models."""
        cells = product(self.splits, self.magnifications, self.models)
        every = [Cell(model, split, magnification) for split, magnification, model in cells]
        return [RunSpec(cell, seed) for seed in range(self.seeds) for cell in every]

    def options(self, run: RunSpec, folder: Path, device: str) -> TrainOptions:
        """The options of `ssr-edge train` for this run."""
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
        """The command that starts or resumes this study."""
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
    """Reads study.json.

    Raises:
        UsageError: the folder contains no study.
    """
    try:
        return StudyPlan.model_validate_json((folder / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{folder} contains no study: {str(error).splitlines()[0]}",
            expected=f"a folder with the {PLAN} that ssr-edge study wrote",
            next_step=f"ssr-edge study --data FOLDER -o {folder}",
        ) from error


def settle_plan(plan: StudyPlan, folder: Path) -> None:
    """Writes the plan, after checking it against an existing one: a study may be extended, but not changed.

    Raises:
        UsageError: the folder contains a study that is not a subset of this plan.
    """
    if (folder / PLAN).exists():
        old = read_plan(folder)
        if lost := _lost(old, plan):
            raise UsageError(
                f"{folder} contains a study with other options: {'; '.join(lost)}",
                expected="the same options, or additional architectures, recipes, splits, magnifications or seeds",
                next_step=f"{old.command(folder)}  (or another folder with -o)",
            )
    with replacing(folder / PLAN) as temporary:
        temporary.write_text(plan.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _lost(old: StudyPlan, new: StudyPlan) -> list[str]:
    """The options of the old plan that the new one does not have, or has changed."""
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
            lost.append(f"its recipe {recipe.name} (with {recipe.epochs} epochs) is different")
    if old.seeds > new.seeds:
        lost.append(f"it has {old.seeds} seeds")
    return lost


def _missing(what: str, old: Sequence[str], new: Sequence[str]) -> list[str]:
    return [f"it has the {what} {name}" for name in old if name not in new]
