"""`ssr-edge triton`: bundle -> model repository for Triton Inference Server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssr_edge.cli.extras import importing


def triton(
    bundle: Annotated[Path, typer.Argument(help="Bundle.", show_default=False)],
    repository: Annotated[
        Path, typer.Argument(help="Folder for --model-repository; existing models are kept.", show_default=False)
    ],
    runtime: Annotated[
        str | None,
        typer.Option(
            help="tensorrt, openvino or onnxruntime. (default: the best in the bundle for each precision)",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="Serve only this precision; repeatable.", show_default=False)
    ] = None,
    bench: Annotated[
        Path | None,
        typer.Option(
            help="bench.json of this bundle, to choose batch sizes and maximum queue delay from.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a bundle as a Triton model repository, with one model per precision, named BUNDLE_PRECISION."""
    with importing("triton"):
        import grpc  # noqa: F401  (tritonclient raises RuntimeError if it is missing)

        from ssr_edge.triton.repository import write_repository
    from ssr_edge.bench.report.schema import read_bench
    from ssr_edge.bundle.bundle import Bundle
    from ssr_edge.triton.models import plan_models

    opened = Bundle.open(bundle)
    plan = plan_models(opened, runtime, precision or ())
    write_repository(opened, repository, plan, read_bench(bench) if bench else None, typer.echo)
    for line in plan.left_out:
        typer.echo(line)
    typer.echo(f"next: tritonserver --model-repository={repository.resolve()}")
