"""`ssr-edge inspect`: a bundle's summary, and tables and plots of its INT8 error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssr_edge.common.errors import UsageError

if TYPE_CHECKING:
    from ssr_edge.bundle.bundle import Bundle


def inspect(
    bundle: Annotated[Path | None, typer.Argument(help="Bundle. (default: newest)", show_default=False)] = None,
    quantization: Annotated[
        bool, typer.Option("--quantization", help="Print the INT8 error by block, worst first, and the ranges.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="With --quantization: plot the error by block to a .png, .svg or .pdf file.", show_default=False
        ),
    ] = None,
    tensor: Annotated[
        str | None,
        typer.Option(help="With --plot: plot the histogram and the range of this tensor instead.", show_default=False),
    ] = None,
    tensorrt_cache: Annotated[
        str | None,
        typer.Option(
            help="Print the INT8 ranges as a calibration cache for this TensorRT version (up to 10.x).",
            metavar="VERSION",
            show_default=False,
        ),
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", help="Write the manifest as JSON to a file, or - for stdout.")
    ] = None,
) -> None:
    """Print a bundle's contents, provenance and measurements, after verifying the hash of every file."""
    from ssr_edge.bundle.bundle import Bundle
    from ssr_edge.bundle.int8_report import print_quantization, quantization_of
    from ssr_edge.bundle.summary import describe
    from ssr_edge.cli.output import write_json

    _check(quantization, plot, tensor)
    opened = Bundle.open(bundle) if bundle else Bundle.newest()
    if tensorrt_cache is not None:
        typer.echo(_tensorrt_cache(opened, tensorrt_cache), nl=False)
        return
    if plot is not None:
        _plot(opened, plot, tensor)
    text = opened.manifest.model_dump_json(indent=2)
    if json_file == "-":
        typer.echo(text)
        return
    if json_file:
        write_json(json_file, text)
    if quantization:
        print_quantization(quantization_of(opened))
    else:
        describe(opened)


def _check(quantization: bool, plot: Path | None, tensor: str | None) -> None:
    if plot is not None and not quantization:
        raise UsageError(
            "--plot without --quantization",
            expected="--quantization --plot FILE",
            next_step=f"ssr-edge inspect --quantization --plot {plot}",
        )
    if tensor is not None and plot is None:
        raise UsageError(
            "--tensor without --plot",
            expected="--quantization --tensor NAME --plot FILE",
            next_step=f"ssr-edge inspect --quantization --tensor {tensor} --plot histogram.png",
        )


def _tensorrt_cache(bundle: Bundle, version: str) -> str:
    import json

    from ssr_edge.bundle.bundle import CALIBRATION
    from ssr_edge.bundle.tensorrt_cache import tensorrt_cache

    return tensorrt_cache(json.loads(bundle.file(CALIBRATION).read_bytes())["ranges"], version)


def _plot(bundle: Bundle, file: Path, tensor: str | None) -> None:
    from ssr_edge.bundle.histograms import read_histogram
    from ssr_edge.bundle.int8_report import quantization_of, tensor_named
    from ssr_edge.cli.extras import importing

    with importing("export"):
        from ssr_export.report.plot import plot_blocks, plot_tensor, save

    report = quantization_of(bundle)
    if tensor is None:
        save(plot_blocks(report), file)
    else:
        entry = tensor_named(report, tensor)
        save(plot_tensor(entry, read_histogram(bundle, entry.name)), file)
