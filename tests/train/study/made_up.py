"""Studies with made-up predictions, in the files of a real study, to test tables and figures on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ssr_edge.breakhis.names import CLASSES
from ssr_train.data.splits import Split, SplitKind
from ssr_train.study import paper
from ssr_train.study.grid import FAILURE
from ssr_train.study.outcomes import Study, gather
from ssr_train.study.plan import RUNS, RunSpec, StudyPlan, settle_plan
from ssr_train.study.predictions import PREDICTIONS, Predictions
from ssr_train.training.recipe import load_recipe

IMAGES, PATIENTS = 320, 16


def plan(
    *architectures: str,
    recipes: tuple[str, ...] = ("paper",),
    images: Mapping[int, int] = paper.IMAGES,
    splits: tuple[SplitKind, ...] = ("image",),
    seeds: int = 10,
) -> StudyPlan:
    return StudyPlan(
        data="/data",
        images=dict(images),
        architectures=architectures,
        recipes=tuple(load_recipe(recipe) for recipe in recipes),
        epochs=None,
        splits=splits,
        seeds=seeds,
    )


def predictions(seed: int, wrong: int) -> Predictions:
    """IMAGES test images, alternating over classes and patients; `wrong` of them, chosen by the seed, are wrong."""
    truth = np.arange(IMAGES) % len(CLASSES)
    labels = truth.copy()
    chosen = np.random.default_rng(seed).permutation(IMAGES)[:wrong]
    labels[chosen] = (labels[chosen] + 1) % len(CLASSES)
    names = [f"image-{seed}-{number}" for number in range(IMAGES)]
    patients = [f"patient-{number % PATIENTS}" for number in range(IMAGES)]
    probabilities = np.full((IMAGES, len(CLASSES)), 0.05, np.float32)
    probabilities[np.arange(IMAGES), labels] = 0.65
    return Predictions(names, patients, truth, probabilities)


def finish(run: RunSpec, folder: Path, wrong: int, split_seed: int | None = None) -> None:
    """Writes the files of a finished run that statistics read; its split has four training images per test image."""
    seed = run.seed if split_seed is None else split_seed
    place = folder / RUNS / run.name
    made = predictions(seed, wrong)
    made.write(place / PREDICTIONS)
    train = {f"train-{seed}-{number}": "train" for number in range(4 * IMAGES)}
    parts = train | dict.fromkeys(made.names, "test") | {f"val-{seed}": "val"}
    Split(run.cell.split, seed, dict(sorted(parts.items()))).write(place / "split.csv")  # type: ignore[arg-type]


def fail(run: RunSpec, folder: Path, reason: str) -> None:
    place = folder / RUNS / run.name
    place.mkdir(parents=True)
    (place / FAILURE).write_text(reason + "\n")


def study(made: StudyPlan, folder: Path, wrong: Mapping[str, int], jitter: int = 6) -> Study:
    """A finished study with about `wrong` mistakes for each architecture, more at higher magnifications."""
    settle_plan(made, folder)
    for run in made.runs():
        drawn = np.random.default_rng([run.seed, *run.name.encode()]).integers(-jitter, jitter + 1)
        extra = list(made.magnifications).index(run.cell.magnification) * 4
        finish(run, folder, max(0, wrong[run.cell.model.arch] + extra + int(drawn)))
    return gather(made, folder)
