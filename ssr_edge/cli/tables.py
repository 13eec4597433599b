"""Tables that verbs print."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from ssr_edge.breakhis import CLASS_NAMES, CLASSES
from ssr_edge.metrics import Metrics
from ssr_edge.results import Results


def metrics_table(title: str, metrics: Metrics) -> None:
    """Prints recall, precision and count by class, then the macro figures."""
    console = Console()
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for column in ("images", "recall", "precision"):
        table.add_column(column, justify="right")
    for number, label in enumerate(CLASSES):
        images, predicted = sum(metrics.confusion[number]), sum(row[number] for row in metrics.confusion)
        correct = metrics.confusion[number][number]
        table.add_row(
            f"{label} {CLASS_NAMES[label]}",
            str(images),
            f"{correct / images:.2f}" if images else "-",
            f"{correct / predicted:.2f}" if predicted else "-",
        )
    console.print(table)
    console.print(f"macro-F1 {metrics.macro_f1:.3f}, accuracy {metrics.accuracy:.3f} on {metrics.images} images")
    if metrics.malignant_sensitivity is not None and metrics.malignant_specificity is not None:
        console.print(
            f"malignant: sensitivity {metrics.malignant_sensitivity:.3f}, "
            f"specificity {metrics.malignant_specificity:.3f}"
        )


def classes_table(results: Results) -> None:
    """Prints how many images of a run were given each label."""
    console = Console()
    table = Table()
    table.add_column("label")
    table.add_column("images", justify="right")
    table.add_column("mean confidence", justify="right")
    for label in CLASSES:
        if results.counts[label]:
            mean = results.mean_confidence(label)
            table.add_row(f"{label} {CLASS_NAMES[label]}", str(results.counts[label]), f"{mean:.2f}")
    console.print(table)
