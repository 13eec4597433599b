"""A training recipe: the fields of `recipes/*.toml`, validated when a file is read."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ssr_edge.common.errors import UsageError
from ssr_edge.common.older_names import OlderNames
from ssr_edge.images.preprocess import IMAGE_SIZE

RECIPES = Path(__file__).parent / "recipes"


class AugmentRecipe(OlderNames):
    """Augmentation. crop_scale: smallest share of the area that a random crop keeps. color_jitter: 0 turns it off.

    stain: range by which the amounts of hematoxylin, eosin and DAB are scaled and shifted (Tellez et al. 2018); 0 turns
        it off.
    """

    older_names: ClassVar[dict[str, str]] = {"colour_jitter": "color_jitter"}

    model_config = ConfigDict(extra="forbid", frozen=True)

    crop_scale: Annotated[float, Field(gt=0, le=1)]
    right_angle_rotations: bool
    horizontal_flip: bool
    color_jitter: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    stain: Annotated[float, Field(ge=0, le=0.5)] = 0.0


class Recipe(BaseModel):
    """Everything that defines a training run except its data, architecture and seed.

    accumulate: number of micro-batches per batch. Needs less memory, but a second forward pass; gradients are the same
        except that BatchNorm uses the statistics of a micro-batch.
    sampling: `shuffled` shows each image once per epoch; `balanced` draws with replacement, each class equally often.
    schedule: `step` multiplies the rate by 0.9 every 5 epochs (paper); `cosine` warms up, then decays to zero.
    dice_weight: weight of the Dice loss; cross-entropy has the rest (paper: 0.5).
    ema_decay: decay of the averaged weights per step; 0 uses the weights of the last step.
    image_sizes: edge lengths of the training images in pixels, each for an equal share of the epochs. Starting with
        small images saves time: 128 pixels cost a third of 224 (progressive resizing, Howard 2018).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    accumulate: Annotated[int, Field(ge=1)] = 1
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    optimizer: Literal["adam", "adamw"]
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["step", "cosine"]
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    dice_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    image_sizes: Annotated[tuple[Annotated[int, Field(ge=64, le=IMAGE_SIZE)], ...], Field(min_length=1)] = (IMAGE_SIZE,)
    augment: AugmentRecipe

    def image_size_at(self, epoch: int) -> int:
        """Edge length of the training images in pixels in epoch `epoch`, counted from 0."""
        return self.image_sizes[min(epoch * len(self.image_sizes) // self.epochs, len(self.image_sizes) - 1)]

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of step `step`, counted from 0. A pure function, so that resuming needs no state."""
        if self.schedule == "step":
            return self.learning_rate * 0.9 ** (step // steps_per_epoch // 5)
        warmup = self.warmup_epochs * steps_per_epoch
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        progress = (step - warmup) / max(1.0, self.epochs * steps_per_epoch - warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def recipe_names() -> list[str]:
    """The names of the recipes in this package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name_or_file: str) -> Recipe:
    """Reads a recipe of this package by name, or any TOML file.

    Raises:
        UsageError: there is no such recipe, or a field is missing, unknown or out of range.
    """
    path = Path(name_or_file) if name_or_file.endswith(".toml") else RECIPES / f"{name_or_file}.toml"
    try:
        return Recipe.model_validate({"name": path.stem} | _read_toml(path))
    except OSError as error:
        raise _unusable(f"unknown recipe {name_or_file!r}", "ssr-edge train --recipe modern") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise _unusable(f"{path}: {field}: {first['msg']}", f"edit {path}") from error
    except ValueError as error:
        raise _unusable(f"{path} is not TOML: {error}", f"edit {path}") from error


def _read_toml(path: Path) -> dict[str, object]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    with path.open("rb") as file:
        fields: dict[str, object] = tomllib.load(file)
        return fields


def _unusable(found: str, next_step: str) -> UsageError:
    return UsageError(
        found, expected=f"{', '.join(recipe_names())} or a .toml file with the same fields", next_step=next_step
    )
