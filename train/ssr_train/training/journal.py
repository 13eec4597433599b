"""The metrics of a run: metrics.jsonl, optionally TensorBoard, and curves.svg at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssr_edge.common.files import replacing

METRICS = "metrics.jsonl"
CURVES = "curves.svg"


def log_epoch(run: Path, line: Mapping[str, float], board: Any) -> None:
    """Adds the line of an epoch to metrics.jsonl and to `board`, if not None; replaces the lines of repeated epochs."""
    rows = [row for row in read_metrics(run) if row["epoch"] < line["epoch"]] + [dict(line)]
    with replacing(run / METRICS) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if board is not None:
        for name, value in line.items():
            if name != "epoch":
                board.add_scalar(name, value, int(line["epoch"]))
        board.flush()


def read_metrics(run: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl; empty before the end of the first epoch."""
    path = run / METRICS
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def open_board(run: Path, first_epoch: int) -> Any:
    """A TensorBoard writer that discards what an earlier process wrote after epoch `first_epoch`.

    Raises:
        ImportError: the package tensorboard is missing.
    """
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(run / "tensorboard", purge_step=first_epoch + 1)


def draw_curves(run: Path) -> None:
    """Writes curves.svg: training loss, macro-F1 and accuracy on val, and learning rate, by epoch."""
    from matplotlib.figure import Figure

    rows = read_metrics(run)
    epochs = [row["epoch"] for row in rows]
    figure = Figure(figsize=(7, 7), layout="constrained")
    loss, val, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.5))
    marker = "o" if len(rows) == 1 else None  # a line of one point is invisible
    # Colors that color-blind people can distinguish (Okabe and Ito 2008).
    loss.plot(epochs, [row["train_loss"] for row in rows], color="#000000", marker=marker)
    loss.set_ylabel("training loss")
    loss.set_ylim(bottom=0)
    val.plot(epochs, [row["val_macro_f1"] for row in rows], color="#0072B2", marker=marker, label="macro-F1")
    val.plot(epochs, [row["val_accuracy"] for row in rows], "--", color="#D55E00", marker=marker, label="accuracy")
    val.set_ylabel("on val")
    val.set_ylim(0, 1)
    val.legend(loc="lower right")
    rate.plot(epochs, [row["learning_rate"] for row in rows], color="#009E73", marker=marker)
    rate.set_ylabel("learning rate")
    rate.set_ylim(bottom=0)
    rate.set_xlabel("epoch")
    rate.xaxis.get_major_locator().set_params(integer=True)
    for axes in (loss, val, rate):
        axes.grid(alpha=0.3)
    figure.suptitle(run.resolve().name)
    with replacing(run / CURVES) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
