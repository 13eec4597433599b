"""Draws a confusion matrix: cells show counts and are shaded by the share of the true class."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ssr_edge.breakhis.names import CLASSES, MALIGNANT
from ssr_edge.evaluation.metrics import Metrics


def plot_confusion(metrics: Metrics, title: str) -> Figure:
    """Rows: true class; columns: predicted class, in the order of CLASSES. Lines separate benign and malignant."""
    confusion = np.asarray(metrics.confusion)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(7.2, 6.4), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(confusion > 0):
        color = "white" if shares[row, column] > 0.55 else "black"
        text = f"{confusion[row, column]}\n{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    benign = sum(label not in MALIGNANT for label in CLASSES) - 0.5
    axes.axhline(benign, color="black", linewidth=0.8)
    axes.axvline(benign, color="black", linewidth=0.8)
    places = range(len(CLASSES))
    axes.set_xticks(places, CLASSES)
    axes.set_yticks(places, [f"{label} ({count})" for label, count in zip(CLASSES, confusion.sum(axis=1), strict=True)])
    axes.set_xlabel("predicted; benign left of the line, malignant right")
    axes.set_ylabel("true (images); benign above the line, malignant below")
    axes.set_title(f"{title}\nmacro-F1 {metrics.macro_f1:.3f}, accuracy {metrics.accuracy:.3f}", fontsize=10)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    return figure
