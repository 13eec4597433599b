"""`ssr-edge bench`: how fast every engine is on this machine, and how good."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def bench(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Images; labeled ones give accuracies. (default: sample images)", show_default=False),
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Bundle. (default: newest)", show_default=False)] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this runtime, beside the baseline; repeatable. torch-compile runs only when named.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="Only this precision; repeatable.", show_default=False)
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Offline: images in one call; repeatable. (default: each engine's best)", show_default=False
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer rounds, at most 64 images judged: seconds, not minutes.")
    ] = False,
    mlperf: Annotated[
        bool, typer.Option("--mlperf", help="600 s for each row, as MLPerf asks for; says where it departs from it.")
    ] = False,
    fps: Annotated[float, typer.Option(min=0.1, help="Live: frames a second.")] = 30.0,
    peer: Annotated[
        Literal["benchmark_app", "trtexec"] | None,
        typer.Option(help="Run the vendor's own tool on the same file, too.", show_default=False),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(help="Measure a KServe v2 server's model too: grpc://HOST:PORT/MODEL.", show_default=False),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Time the layers of every engine, and print where its time goes.")
    ] = False,
    json_file: Annotated[str, typer.Option("--json", help="Write JSON to a file, or - for stdout.")] = "bench.json",
    html: Annotated[
        Path | None, typer.Option(help="Write a report, one HTML page with everything in it.", show_default=False)
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="An older bench.json: say what changed beyond noise.", show_default=False)
    ] = None,
    max_regression: Annotated[
        str | None,
        typer.Option(
            help="With --compare: exit code 5 if anything is worse beyond noise and by more than this, e.g. 5%.",
            show_default=False,
        ),
    ] = None,
    arch: Annotated[
        str | None, typer.Option(help="With --random-weights: an architecture instead of a bundle.", show_default=False)
    ] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="With --arch: latency only, nothing needs to be trained.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the turns' order and of random weights.")] = 0,
) -> None:
    """Measure every engine of a bundle against PyTorch FP32: latency, throughput, accuracy.

    Each engine runs in a process of its own, and they take turns.
    """
    from ssr_edge.bench.command import BenchRequest, bench_and_print

    bench_and_print(
        BenchRequest(
            folder=folder,
            bundle=bundle,
            arch=arch,
            random_weights=random_weights,
            runtimes=tuple(runtime or ()),
            precisions=tuple(precision or ()),
            batches=tuple(dict.fromkeys(batch or ())),
            quick=quick,
            mlperf=mlperf,
            fps=fps,
            peer=peer,
            layers=layers,
            server=server,
            json=json_file,
            seed=seed,
            html=html,
            compare=compare,
            max_regression=max_regression,
        )
    )
