"""`ssr-edge study`: trains a grid of networks, then writes the tables and figures of the paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssr_edge.cli.extras import importing
from ssr_edge.common.errors import DataError, UsageError

if TYPE_CHECKING:
    from ssr_train.study.plan import StudyPlan

FAILED_RUNS = 3
# The rows of Table 2 of the paper.
_ARCHITECTURES = ("resnet50", "resnext50_32x4d", "se_resnext50_32x4d", "ssresnext50_32x4d")


def study(
    data: Annotated[
        Path | None, typer.Option(help="The BreaKHis folder, or a folder with an index.csv.", show_default=False)
    ] = None,
    arch: Annotated[
        list[str] | None,
        typer.Option(help="Architecture; repeatable. (default: the four in Table 2 of the paper)", show_default=False),
    ] = None,
    magnification: Annotated[
        list[int] | None, typer.Option(help="Magnification; repeatable. (default: all in the data)", show_default=False)
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of repeats, each with its own seed for split and training.")
    ] = 10,
    split: Annotated[
        list[str] | None, typer.Option(help="image or patient; repeatable. (default: image)", show_default=False)
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(help="Recipe or .toml file; repeatable. (default: paper)", show_default=False),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Number of epochs, instead of the recipes'.", show_default=False)
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Number of parallel runs.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the study.")] = Path("study"),
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="Do not train; write tables and figures of the finished runs in -o.")
    ] = False,
) -> None:
    """Train a grid of networks and write the paper's tables and figures. The same command resumes a killed study."""
    with importing("train"):
        from ssr_train.study.grid import train_grid
        from ssr_train.study.outcomes import gather
        from ssr_train.study.plan import read_plan, settle_plan
        from ssr_train.study.report import write_report
        from ssr_train.study.tables import accuracy_table
        from ssr_train.training.device import choose_device

    if tables_only:
        plan = read_plan(output)
    elif data is None:
        raise UsageError(
            "--data is missing", expected="--data FOLDER", next_step="ssr-edge study --data BreaKHis_v1 -o study"
        )
    else:
        plan = _plan(
            data, arch or _ARCHITECTURES, magnification, seeds, split or ["image"], recipe or ["paper"], epochs
        )
        chosen_device = choose_device(device)
        settle_plan(plan, output)
        typer.echo(f"{len(plan.runs())} runs in {output}")
        train_grid(plan, output, jobs, chosen_device)
    found = gather(plan, output)
    report = write_report(found, output)
    for kind in plan.splits:
        typer.echo(accuracy_table(found, kind).markdown())
    typer.echo(f"{found.done} of {len(plan.runs())} runs -> {report}")
    if found.failures:
        typer.echo(f"{len(found.failures)} failed; the same command retries them:", err=True)
        for name, reason in found.failures.items():
            typer.echo(f"  {name}: {reason}", err=True)
        raise typer.Exit(FAILED_RUNS)


def _plan(
    data: Path,
    architectures: list[str] | tuple[str, ...],
    magnifications: list[int] | None,
    seeds: int,
    splits: list[str],
    recipes: list[str],
    epochs: int | None,
) -> StudyPlan:
    """Checks all options before the first run, so that a mistyped name is found early."""
    from collections import Counter
    from typing import get_args

    from ssr_train.data.breakhis import read
    from ssr_train.data.splits import SplitKind
    from ssr_train.models.arch import arch_by_name
    from ssr_train.study.plan import StudyPlan
    from ssr_train.training.recipe import load_recipe

    if unknown := [split for split in splits if split not in get_args(SplitKind)]:
        raise UsageError(
            f"unknown split {unknown[0]!r}",
            expected=" or ".join(get_args(SplitKind)),
            next_step=f"ssr-edge study --data {data} --split image --split patient",
        )
    loaded = [load_recipe(name) for name in dict.fromkeys(recipes)]
    if epochs is not None:
        loaded = [one.model_copy(update={"epochs": epochs}) for one in loaded]
    if repeated := [name for name, count in Counter(one.name for one in loaded).items() if count > 1]:
        raise UsageError(
            f"two recipes are named {repeated[0]}",
            expected="recipes with different names",
            next_step="rename one of the .toml files",
        )
    counts = Counter(record.magnification for record in read(data))
    asked = magnifications or sorted(counts)
    if missing := [magnification for magnification in asked if magnification not in counts]:
        raise DataError(
            f"{data} has no image of {missing[0]}X",
            expected="one of " + ", ".join(map(str, sorted(counts))),
            next_step=f"ssr-edge study --data {data} --magnification {min(counts)}",
        )
    return StudyPlan(
        data=str(data.resolve()),
        images={magnification: counts[magnification] for magnification in sorted(asked)},
        architectures=tuple(arch_by_name(name).name for name in dict.fromkeys(architectures)),
        recipes=tuple(loaded),
        epochs=epochs,
        splits=tuple(dict.fromkeys(splits)),
        seeds=seeds,
    )
