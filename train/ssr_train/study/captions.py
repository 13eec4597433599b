"""Texts of the tables and figures of a study: names of models, values, caveats."""

from __future__ import annotations

from ssr_edge.evaluation.bootstrap import Interval
from ssr_train.study import paper
from ssr_train.study.outcomes import Study
from ssr_train.study.plan import Model, StudyPlan
from ssr_train.study.statistics import Summary

NOTHING = "\N{EN DASH}"


def model_name(model: Model, plan: StudyPlan) -> str:
    """The name in the paper, if any, and the recipe if the study has several."""
    name = paper.NAMES.get(model.arch, model.arch)
    return name if len(plan.recipes) == 1 else f"{name}, {model.recipe} recipe"


def cell_text(found: Summary | None, reported: float | None, seeds: int) -> str:
    """`0.912 ± 0.013 (paper 0.940)`, with the number of seeds if some are missing."""
    text = NOTHING
    if found is not None:
        text = f"{found.mean:.3f}"
        if found.deviation is not None:
            text += f" ± {found.deviation:.3f}"
        if found.repeats < seeds:
            text += f" [{found.repeats} of {seeds} seeds]"
    return text if reported is None else f"{text} (paper {reported:.3f})"


def with_interval(
    name: str, found: Summary | None, interval: Interval | None, seeds: int
) -> tuple[str, dict[str, float | None]]:
    """`0.912 ± 0.013 [0.88, 0.94]`, and columns with the mean (called `name`), deviation and interval."""
    low, high = interval or (None, None)
    text = cell_text(found, None, seeds)
    if low is not None:
        text += f" [{low:.3f}, {high:.3f}]"
    return text, {
        name: None if found is None else found.mean,
        f"{name}_deviation": None if found is None else found.deviation,
        f"{name}_low": low,
        f"{name}_high": high,
    }


def counted(number: int, what: str) -> str:
    """`1 seed`, `10 seeds`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def p_text(p: float | None) -> str:
    """A p value with four digits, so that a value just above a significance level is not rounded to it."""
    if p is None:
        return NOTHING
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def caveats(study: Study) -> list[str]:
    """Notes above every table: data that is not all of BreaKHis, missing runs, fewer repeats than in the paper."""
    plan = study.plan
    notes = []
    if is_part(plan):
        by_magnification = ", ".join(
            f"{magnification}X {plan.images[magnification]:,} of {paper.IMAGES.get(magnification, 0):,}"
            for magnification in plan.magnifications
        )
        notes.append(
            f"**On {sum(plan.images.values()):,} of BreaKHis's {sum(paper.IMAGES.values()):,} images "
            f"({by_magnification}): not comparable with the results of the paper.**"
        )
    total = len(plan.runs())
    if study.done < total:
        notes.append(f"**Not finished: {study.done} of {total} runs are included.**")
    if plan.seeds < paper.REPEATS:
        notes.append(f"{counted(plan.seeds, 'repeat')} per model; the paper has ten.")
    return notes


def method(plan: StudyPlan) -> str:
    """Explains the cells of the tables."""
    recipes = ", ".join(f"{recipe.name} ({counted(recipe.epochs, 'epoch')})" for recipe in plan.recipes)
    seeds = counted(plan.seeds, "seed")
    return (
        f"Mean ± sample standard deviation over {seeds}, each with its own split and initial weights; test images; "
        f"recipe {recipes}. In brackets: results of {paper.CITATION}, who do not specify their split."
    )


def short_caveat(study: Study) -> str:
    """`caveats` in one line, for the title of a figure; may be empty."""
    plan = study.plan
    notes = []
    if is_part(plan):
        total, images = sum(paper.IMAGES.values()), sum(plan.images.values())
        notes.append(f"{images:,} of BreaKHis's {total:,} images: not comparable with the paper")
    if study.done < len(plan.runs()):
        notes.append(f"{study.done} of {len(plan.runs())} runs done")
    return "; ".join(notes)


def is_part(plan: StudyPlan) -> bool:
    """Whether the number of images of a magnification differs from that of BreaKHis."""
    return any(paper.IMAGES.get(magnification) != images for magnification, images in plan.images.items())
