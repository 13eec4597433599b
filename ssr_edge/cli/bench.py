"""`ssr-edge bench`: speed and accuracy of every engine on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssr_edge.bench.options import BenchOptions, Precision, Runtime, VendorToolName
from ssr_edge.demo import DEMO_IMAGES


def bench(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of images; labels also give accuracies. (default: sample images)", show_default=False
        ),
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Bundle. (default: newest)", show_default=False)] = None,
    runtime: Annotated[
        list[Runtime] | None,
        typer.Option(
            help="Measure only this runtime and the baseline; repeatable. torch-compile runs only if named here.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        list[Precision] | None, typer.Option(help="Measure only this precision; repeatable.", show_default=False)
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Offline: images per call; repeatable. (default: the fastest per engine)", show_default=False
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer rounds and at most 64 images; takes seconds, not minutes.")
    ] = False,
    mlperf: Annotated[
        bool, typer.Option("--mlperf", help="600 s per row, as MLPerf requires; lists the deviations from its rules.")
    ] = False,
    fps: Annotated[float, typer.Option(min=0.1, help="Live: frames per second.")] = 30.0,
    vendor_tool: Annotated[
        VendorToolName | None,
        typer.Option(
            "--vendor-tool",
            "--peer",
            help="Also run the vendor's benchmark tool on the same file. --peer is a former name of this option.",
            show_default=False,
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(help="Also measure a model on a KServe v2 server: grpc://HOST:PORT/MODEL.", show_default=False),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Profile the layers of every engine and print the time they take.")
    ] = False,
    json_file: Annotated[str, typer.Option("--json", help="Write JSON to a file, or - for stdout.")] = "bench.json",
    html: Annotated[Path | None, typer.Option(help="Write a self-contained HTML report.", show_default=False)] = None,
    compare: Annotated[
        Path | None, typer.Option(help="An earlier bench.json: report changes larger than noise.", show_default=False)
    ] = None,
    max_regression: Annotated[
        str | None,
        typer.Option(
            help="With --compare: exit with code 5 if a figure is worse by more than noise and this limit, e.g. 5%.",
            show_default=False,
        ),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option(help="With --random-weights: measure an architecture instead of a bundle.", show_default=False),
    ] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="With --arch: latency only; no trained weights needed.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed for the order of turns and the random weights.")] = 0,
) -> None:
    """Measure every engine of a bundle against PyTorch FP32: latency, throughput, accuracy.

    Each engine runs in its own process, and the engines take turns.
    """
    from ssr_edge.bench.command import bench_and_print

    bench_and_print(
        BenchOptions(
            folder=folder or DEMO_IMAGES,
            bundle=bundle,
            arch=arch,
            random_weights=random_weights,
            runtimes=tuple(runtime or ()),
            precisions=tuple(precision or ()),
            batches=tuple(dict.fromkeys(batch or ())),
            quick=quick,
            mlperf=mlperf,
            fps=fps,
            vendor_tool=vendor_tool,
            server=server,
            layers=layers,
            seed=seed,
            json=json_file,
            html=html,
            compare=compare,
            max_regression=max_regression,
        )
    )
