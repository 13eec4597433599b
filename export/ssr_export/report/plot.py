"""Plots for `inspect --quantization`: the error by block, and the histogram of a tensor with its range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ssr_edge.bundle.histograms import Histogram
from ssr_edge.bundle.manifest import QuantizationReport, QuantizedTensor
from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import cannot_write, replacing

# Color-blind safe (Okabe and Ito 2008).
_COLORS = {"weights": "#56B4E9", "activations": "#E69F00", "both": "#000000"}
_BAR = 0.27
_MIN_RATIO = 1e-5
SUFFIXES = (".png", ".svg", ".pdf")


def plot_blocks(report: QuantizationReport) -> Figure:
    """Bars by block, in network order: noise-to-signal amplitude ratio on a log scale; longer is worse."""
    figure = Figure(figsize=(9, 2 + 0.5 * len(report.blocks)), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(report.blocks))
    every: list[float] = []
    for number, (part, color) in enumerate(_COLORS.items()):
        decibels = [getattr(block, part).sqnr_db for block in report.blocks]
        ratios = [max(10 ** (-value / 20), _MIN_RATIO) for value in decibels]
        bars = axes.barh(places + (number - 1) * _BAR, ratios, _BAR, color=color, label=part)
        axes.bar_label(bars, [f"{value:.1f} dB" for value in decibels], padding=3, fontsize=7)
        every += ratios
    axes.set_yticks(places, [block.block for block in report.blocks])
    axes.set_ylim(len(report.blocks) - 0.4, -0.6)  # the first block on top
    axes.set_xscale("log")
    # A log scale has no zero to start at; the space on the right is for the labels.
    axes.set_xlim(min(every) / 2, max(every) * 2)
    axes.set_xlabel("quantization noise / signal at the block's output (RMS); longer is worse")
    axes.grid(axis="x", which="both", alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_title(
        f"INT8 error by block, {report.images} images; logits end to end {report.logits.both.sqnr_db:.1f} dB"
    )
    figure.legend(title="quantized", loc="outside lower center", ncols=len(_COLORS))
    return figure


def plot_tensor(tensor: QuantizedTensor, histogram: Histogram) -> Figure:
    """Histogram of a tensor's magnitudes on a log scale, with the chosen range; clipped values are shaded."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    edges = np.linspace(0, histogram.limit, len(histogram.counts) + 1)
    axes.stairs(histogram.counts, edges, fill=True, color=_COLORS["weights"], label="values")
    whose = "range" if tensor.narrowest is None else "widest channel's range"
    axes.axvline(tensor.range, color=_COLORS["both"], label=f"{whose}: {tensor.range:.4g} maps to 127")
    if tensor.narrowest is not None:
        label = f"narrowest channel's range: {tensor.narrowest:.4g}"
        axes.axvline(tensor.narrowest, color=_COLORS["both"], linestyle="--", label=label)
    if tensor.clipped:
        share = f"clipped: {tensor.clipped:,} of {tensor.values:,} ({tensor.clipped / tensor.values:.4%})"
        axes.axvspan(tensor.range, tensor.largest, color=_COLORS["activations"], alpha=0.25, zorder=0, label=share)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5)
    # The histogram's limit can be twice its largest value; the empty half is not shown.
    axes.set_xlim(0, 1.05 * max(tensor.largest, tensor.range))
    axes.set_xlabel(f"magnitude; largest {tensor.largest:.4g}")
    axes.set_ylabel("values in the bin")
    axes.set_title(f"{tensor.name} ({tensor.kind})")
    axes.legend()
    return figure


def save(figure: Figure, file: Path) -> None:
    """Writes a plot in the format of the file's suffix.

    Raises:
        UsageError: the suffix is not in SUFFIXES, or the file can't be written.
    """
    kind = file.suffix.lower()
    if kind not in SUFFIXES:
        raise UsageError(
            f"{file} has no supported plot format",
            expected="a file ending in " + ", ".join(SUFFIXES),
            next_step=f"the same command with --plot {file.with_suffix('.png')}",
        )
    try:
        with replacing(file) as temporary:
            figure.savefig(temporary, format=kind[1:], dpi=150)
    except OSError as error:
        raise cannot_write(file, error, "the same command with another --plot") from error
