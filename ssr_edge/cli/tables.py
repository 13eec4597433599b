"""Tables that commands print."""

from __future__ import annotations

from rich.table import Table

from ssr_edge.breakhis.names import CLASS_NAMES, CLASSES
from ssr_edge.common.console import open_console
from ssr_edge.evaluation.bootstrap import Interval
from ssr_edge.evaluation.metrics import Metrics, by_class
from ssr_edge.results.results import Results


def metrics_table(
    title: str, metrics: Metrics, sensitivity: Interval | None, specificity: Interval | None, patients: int
) -> None:
    """Prints precision, recall, F1 and support by class, then macro-F1, accuracy, sensitivity and specificity.

    sensitivity, specificity: 95 % intervals for detecting malignancy, by resampling `patients` patients.
    """
    console = open_console()
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for column in ("precision", "recall", "F1", "support"):
        table.add_column(column, justify="right")
    for of_class in by_class(metrics):
        figures = (of_class.precision, of_class.recall, of_class.f1)
        table.add_row(
            f"{of_class.label} {CLASS_NAMES[of_class.label]}",
            *("-" if figure is None else f"{figure:.3f}" for figure in figures),
            str(of_class.support),
        )
    console.print(table)
    console.print(f"macro-F1 {metrics.macro_f1:.3f}, accuracy {metrics.accuracy:.3f} on {metrics.images} images")
    sides = (
        ("sensitivity", metrics.malignant_sensitivity, sensitivity),
        ("specificity", metrics.malignant_specificity, specificity),
    )
    for side, figure, interval in sides:
        if figure is not None and interval is not None:
            console.print(f"malignant {side} {figure:.3f} ({interval[0]:.3f} to {interval[1]:.3f})")
    console.print(f"95 % intervals over {patients} patient{'s' if patients != 1 else ''}")


def classes_table(results: Results) -> None:
    """Prints the number of images and the mean confidence by predicted label."""
    table = Table()
    table.add_column("label")
    table.add_column("images", justify="right")
    table.add_column("mean confidence", justify="right")
    for label in CLASSES:
        if results.counts[label]:
            mean = results.mean_confidence(label)
            table.add_row(f"{label} {CLASS_NAMES[label]}", str(results.counts[label]), f"{mean:.2f}")
    open_console().print(table)
