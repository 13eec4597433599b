"""A training recipe: what `train/ssr_train/recipes/*.toml` may say, checked at the door."""

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
    """crop_scale: smallest share of the image's area that a random crop keeps. color_jitter: 0 leaves color alone.

    stain: how far the amounts of hematoxylin, eosin and DAB are scaled and shifted (Tellez et al. 2018); 0 leaves
        the stain alone.
    """

    older_names: ClassVar[dict[str, str]] = {"colour_jitter": "color_jitter"}

    model_config = ConfigDict(extra="forbid", frozen=True)

    crop_scale: Annotated[float, Field(gt=0, le=1)]
    right_angle_rotations: bool
    horizontal_flip: bool
    color_jitter: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    stain: Annotated[float, Field(ge=0, le=0.5)] = 0.0


class Recipe(BaseModel):
    """Everything that decides a training run but its data, its architecture and its seed.

    accumulate: micro-batches that a batch is computed in, one after the other: less memory, the same gradients but for
        BatchNorm, whose statistics are those of a micro-batch. Costs a second forward pass.
    sampling: `shuffled` shows each image once an epoch; `balanced` draws as many with replacement, each class as often.
    schedule: `step` multiplies the rate by 0.9 every 5 epochs (paper); `cosine` warms up, then falls to zero.
    dice_weight: weight of the Dice loss; cross-entropy has the rest (paper: 0.5).
    ema_decay: decay of the averaged weights by step; 0 keeps the last step's weights.
    image_sizes: edge lengths in pixels of the training images, each for an equal share of the epochs. Small images
        first cost less (128 pixels a third of 224) and pretrain the same weights (progressive resizing, Howard 2018).
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
        """Edge length of the training images in epoch `epoch`, counted from 0."""
        return self.image_sizes[min(epoch * len(self.image_sizes) // self.epochs, len(self.image_sizes) - 1)]

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """The rate of optimization step `step`, counted from 0: a pure function, so resuming needs no state."""
        if self.schedule == "step":
            return self.learning_rate * 0.9 ** (step // steps_per_epoch // 5)
        warmup = self.warmup_epochs * steps_per_epoch
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        progress = (step - warmup) / max(1.0, self.epochs * steps_per_epoch - warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def recipe_names() -> list[str]:
    """The recipes that ship with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name_or_file: str) -> Recipe:
    """Reads a shipped recipe by name, or a TOML file of one's own.

    Raises:
        UsageError: no such recipe, or a field that is missing, unknown or out of range.
    """
    path = Path(name_or_file) if name_or_file.endswith(".toml") else RECIPES / f"{name_or_file}.toml"
    try:
        return Recipe.model_validate({"name": path.stem} | _read_toml(path))
    except OSError as error:
        raise _unusable(f"recipe {name_or_file!r} is not known", "ssr-edge train --recipe modern") from error
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
    return UsageError(found, expected=f"{', '.join(recipe_names())} or a .toml file like them", next_step=next_step)
