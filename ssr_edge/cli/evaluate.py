"""`ssr-edge evaluate`: metrics of a checkpoint or a bundle on labeled images."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ssr_edge.cli.defaults import find_checkpoint
from ssr_edge.cli.extras import importing

if TYPE_CHECKING:
    from ssr_train.evaluation.evaluate import Evaluation


def evaluate(
    source: Annotated[
        Path | None,
        typer.Argument(help="Checkpoint or bundle. (default: newest run, or else demo)", show_default=False),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of images. (default: the data used for training)", show_default=False)
    ] = None,
    part: Annotated[Literal["val", "test", "all"], typer.Option(help="Part of the checkpoint's split.")] = "test",
    runtime: Annotated[str, typer.Option(help="Runtime, for a bundle.")] = "openvino",
    precision: Annotated[
        str | None, typer.Option(help="Precision, for a bundle. (default: the bundle's choice)", show_default=False)
    ] = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="Average the probabilities of an image's eight rotations and reflections.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for the confusion matrix and the most confident errors.", show_default=False
        ),
    ] = None,
    cam: Annotated[
        Path | None,
        typer.Option(help="Folder for images overlaid with class activation maps.", show_default=False),
    ] = None,
    json_file: Annotated[str | None, typer.Option("--json", help="Write JSON to this file, or - for stdout.")] = None,
) -> None:
    """Evaluate a checkpoint, or an engine of a bundle, on held-out images."""
    with importing("train"):
        from ssr_train.evaluation.evaluate import evaluate_bundle, evaluate_checkpoint
        from ssr_train.evaluation.evaluation_plots import write_cams, write_pictures

    from ssr_edge.bundle.bundle import MANIFEST, Bundle
    from ssr_edge.cli.output import write_json
    from ssr_edge.cli.tables import metrics_table
    from ssr_edge.evaluation.bootstrap import malignancy_intervals

    if source is not None and (source / MANIFEST).exists():
        evaluation = evaluate_bundle(Bundle.open(source), data, part, runtime, precision, tta, cam is not None)
    else:
        evaluation = evaluate_checkpoint(find_checkpoint(source), data, part, tta, cam is not None)
    written = [] if output is None else write_pictures(evaluation, output)
    written += [] if cam is None else write_cams(evaluation, cam)
    intervals = malignancy_intervals(evaluation.images.targets.numpy(), evaluation.predicted, evaluation.patients)
    text = _json(evaluation, part, tta, intervals)
    if json_file == "-":
        typer.echo(text)
        return
    title = f"{evaluation.name}, {part}" + (", eight views per image" if tta else "")
    metrics_table(title, evaluation.metrics, *intervals, patients=len(set(evaluation.patients)))
    if json_file:
        write_json(json_file, text)
    for folder in dict.fromkeys(path.parent for path in written):
        names = [path.name for path in written if path.parent == folder]
        typer.echo(f"wrote {folder}: " + (", ".join(names) if len(names) <= 3 else f"{len(names)} images"))


def _json(
    evaluation: Evaluation,
    part: str,
    tta: bool,
    intervals: tuple[tuple[float, float] | None, tuple[float, float] | None],
) -> str:
    from ssr_edge.evaluation.metrics import by_class

    return json.dumps(
        {
            "source": evaluation.name,
            "part": part,
            **asdict(evaluation.metrics),
            "tta": tta,
            "patients": len(set(evaluation.patients)),
            "malignant_sensitivity_ci95": intervals[0],
            "malignant_specificity_ci95": intervals[1],
            "classes": [asdict(of_class) for of_class in by_class(evaluation.metrics)],
        }
    )
