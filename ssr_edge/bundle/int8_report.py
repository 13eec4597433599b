"""Says in tables what INT8 costs by block and what its ranges are: for `inspect --quantization`."""

from __future__ import annotations

from difflib import get_close_matches

from rich.console import Console
from rich.table import Table

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import BlockQuantization, QuantizationError, QuantizationReport, QuantizedTensor
from ssr_edge.common.errors import BundleError, UsageError


def quantization_of(bundle: Bundle) -> QuantizationReport:
    """What a bundle's manifest says of its quantization.

    Raises:
        BundleError: the bundle was written before this was measured.
    """
    if bundle.manifest.quantization is None:
        raise BundleError(
            f"{bundle.path} says nothing of its quantization error",
            expected="a bundle written by an ssr-edge that measures it",
            next_step=f"ssr-edge build-engine CHECKPOINT --bundle {bundle.path}",
        )
    return bundle.manifest.quantization


def worst_first(report: QuantizationReport) -> list[BlockQuantization]:
    """The blocks, least signal to noise first, weights and activations both quantized."""
    return sorted(report.blocks, key=lambda block: block.both.sqnr_db)


def tensor_named(report: QuantizationReport, name: str) -> QuantizedTensor:
    """One of the report's tensors.

    Raises:
        UsageError: it has none of that name.
    """
    for tensor in report.tensors:
        if tensor.name == name:
            return tensor
    alike = get_close_matches(name, [tensor.name for tensor in report.tensors]) or [report.tensors[0].name]
    raise UsageError(
        f"no quantized tensor {name!r}",
        expected="a tensor of the table of ranges, such as " + ", ".join(alike),
        next_step="ssr-edge inspect --quantization",
    )


def print_quantization(report: QuantizationReport) -> None:
    """Prints the error by block and the ranges of its tensors, worst block first in both."""
    console = Console(highlight=False)
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
        "dB: signal to quantization noise, more is better; a block's is measured at its output, on its true input. "
        "range: what maps to 127; a weight has one for each output channel, here the narrowest and the widest."
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
