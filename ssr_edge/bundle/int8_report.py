"""Tables of INT8's error by block and of its ranges, for `inspect --quantization`."""

from __future__ import annotations

from difflib import get_close_matches

from rich.table import Table

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import BlockQuantization, QuantizationError, QuantizationReport, QuantizedTensor
from ssr_edge.common.console import open_console
from ssr_edge.common.errors import BundleError, UsageError


def quantization_of(bundle: Bundle) -> QuantizationReport:
    """Returns the quantization report of a bundle's manifest.

    Raises:
        BundleError: the bundle was written by a version that did not measure it.
    """
    if bundle.manifest.quantization is None:
        raise BundleError(
            f"{bundle.path} has no measurement of its quantization error",
            expected="a bundle whose manifest has a quantization report",
            next_step=f"ssr-edge build-engine CHECKPOINT --bundle {bundle.path}",
        )
    return bundle.manifest.quantization


def worst_first(report: QuantizationReport) -> list[BlockQuantization]:
    """The blocks by signal-to-noise ratio with weights and activations quantized, lowest first."""
    return sorted(report.blocks, key=lambda block: block.both.sqnr_db)


def tensor_named(report: QuantizationReport, name: str) -> QuantizedTensor:
    """Returns the report's tensor `name`.

    Raises:
        UsageError: the report has no tensor of this name.
    """
    for tensor in report.tensors:
        if tensor.name == name:
            return tensor
    alike = get_close_matches(name, [tensor.name for tensor in report.tensors]) or [report.tensors[0].name]
    raise UsageError(
        f"no quantized tensor {name!r}",
        expected="a tensor in the table of ranges, such as " + ", ".join(alike),
        next_step="ssr-edge inspect --quantization",
    )


def print_quantization(report: QuantizationReport) -> None:
    """Prints two tables, the error by block and the ranges of its tensors, both with the worst block first."""
    console = open_console()
    blocks = Table(title=f"INT8 error by block, on {report.images} images", title_justify="left")
    blocks.add_column("block", no_wrap=True)
    for column in ("weights", "activations", "both"):
        blocks.add_column(f"{column}, dB", justify="right")
        blocks.add_column("cosine", justify="right")
    for block in worst_first(report):
        blocks.add_row(block.block, *_figures(block))
    blocks.add_section()
    blocks.add_row("logits, whole network", *_figures(report.logits))
    console.print(blocks)
    order = [block.block for block in worst_first(report)]
    console.print(_ranges(sorted(report.tensors, key=lambda tensor: order.index(tensor.block))))
    console.print(
        "dB: signal-to-quantization-noise ratio, higher is better; measured at the block's output with exact input. "
        "range: the magnitude that maps to 127; for a weight, the smallest and the largest of its output channels."
    )


def _figures(error: QuantizationError) -> list[str]:
    parts = (error.weights, error.activations, error.both)
    return [text for part in parts for text in (f"{part.sqnr_db:.1f}", f"{part.cosine:.5f}")]


def _ranges(tensors: list[QuantizedTensor]) -> Table:
    table = Table(title="Ranges", title_justify="left")
    table.add_column("tensor", no_wrap=True)
    for column in ("range", "largest", "values", "clipped", "share"):
        table.add_column(column, justify="right")
    for tensor in tensors:
        narrowest = "" if tensor.narrowest is None else f"{tensor.narrowest:.3g} to "
        table.add_row(
            tensor.name,
            f"{narrowest}{tensor.range:.3g}",
            f"{tensor.largest:.3g}",
            f"{tensor.values:,}",
            f"{tensor.clipped:,}",
            f"{tensor.clipped / tensor.values:.4%}",
        )
    return table
