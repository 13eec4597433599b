"""`ssr-edge infer`: images -> predictions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from ssr_edge.common.errors import UsageError

_SERVER, _RAY = "Server", "Ray"


def infer(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder, quoted glob, image, slide, video, camera (0), rtsp:// or http:// stream; - for stdin."
        ),
    ],
    bundle: Annotated[Path | None, typer.Option(help="Bundle. (default: newest)", show_default=False)] = None,
    runtime: Annotated[
        Literal["auto", "openvino", "tensorrt", "tensorrt-rtx", "onnxruntime"],
        typer.Option(help="auto: TensorRT if the bundle has an engine for this GPU, else OpenVINO."),
    ] = "auto",
    precision: Annotated[
        Literal["fp32", "bf16", "fp16", "int8"] | None,
        typer.Option(help="Precision. (default: chosen when the bundle was built)", show_default=False),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--output",
            help=".csv, .jsonl, .parquet or - ; repeatable. (default: predictions.csv)",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run with these outputs.")] = False,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Also write a table by group: patient (BreaKHis names) or a regular expression's first group."
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Largest number of images per engine call.")] = 8,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Decoder threads. (default: one per core)", show_default=False)
    ] = None,
    requests: Annotated[
        int, typer.Option(min=1, help="Engine calls in flight; one computes while the next is prepared.")
    ] = 2,
    live: Annotated[
        bool | None,
        typer.Option(
            "--live/--no-live",
            help="Process only the newest frame, drop others. (default: for cameras and streams)",
            show_default=False,
        ),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Only every Nth frame of a video, camera or stream.")] = 1,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after this many seconds.", show_default=False)
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show annotated images in a window.")] = False,
    save: Annotated[
        str | None,
        typer.Option(help="Save annotated copies: NAME.mp4 (video, camera, stream) or a folder.", show_default=False),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=20, help="Slides: micrometers per pixel. (default: from the slide)", show_default=False
        ),
    ] = None,
    resize: Annotated[
        Literal["cpu", "gpu"], typer.Option(help="Where images are resized; gpu only with TensorRT.")
    ] = "cpu",
    server: Annotated[
        str | None,
        typer.Option(
            help="Use a KServe v2 server's model: grpc://HOST:PORT/MODEL.", show_default=False, rich_help_panel=_SERVER
        ),
    ] = None,
    deadline: Annotated[
        float, typer.Option(min=0.1, help="Seconds until a request times out.", rich_help_panel=_SERVER)
    ] = 10.0,
    retry_for: Annotated[
        float, typer.Option(min=0, help="Seconds for which a failed request is retried.", rich_help_panel=_SERVER)
    ] = 30.0,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="local|HOST:PORT",
            help="Run on a Ray cluster: a local one, or the address of its head node.",
            show_default=False,
            rich_help_panel=_RAY,
        ),
    ] = None,
    actors: Annotated[
        int | None,
        typer.Option(
            min=1, help="Actors (engines). (default: as many as fit)", show_default=False, rich_help_panel=_RAY
        ),
    ] = None,
    num_cpus: Annotated[int, typer.Option(min=1, help="Cores per actor.", rich_help_panel=_RAY)] = 1,
    num_gpus: Annotated[
        float, typer.Option(min=0, help="GPUs per actor; 0.5 for two on one GPU.", rich_help_panel=_RAY)
    ] = 0,
    part_size: Annotated[
        int, typer.Option(min=1, help="Images per part; a part that is lost is repeated.", rich_help_panel=_RAY)
    ] = 1000,
) -> None:
    """Classify images, videos, streams and whole slides. Decision support for research, not a medical device."""
    from ssr_edge.classifier import Classifier
    from ssr_edge.cli import infer_run
    from ssr_edge.results.results import Results

    outputs = list(dict.fromkeys(output or ["predictions.csv"]))
    results = Results(outputs, group_by)
    if ray is not None:
        _refuse(
            "--ray",
            {"--server": server, "--threads": threads, "--live": live, "--seconds": seconds}
            | {"--show": show, "--save": save, "--mpp": mpp},
            "images in files, each classified once, on any node",
            f"ssr-edge infer {source} --ray {ray}  (or without --ray, on this machine)",
        )
        from ssr_edge.bundle.bundle import Bundle
        from ssr_edge.distributed.command import InferRequest, RayOptions, infer_on_ray

        opened = Bundle.open(bundle) if bundle else Bundle.newest()
        request = InferRequest(source, opened, runtime, precision, resize, batch, requests, every, resume)
        done, took = infer_on_ray(request, RayOptions(ray, actors, num_cpus, num_gpus, part_size), results)
        infer_run.finish(results, outputs, done, took, [])
        return
    if server is None:
        classify = Classifier(bundle, runtime=runtime, precision=precision, requests=requests, resize=resize)
    else:
        _refuse(
            "--server",
            {"--runtime": runtime != "auto", "--precision": precision, "--resize gpu": resize == "gpu"},
            "one of them: the server's model has its own engine and precision",
            f"ssr-edge infer {source} --server {server}",
        )
        classify = Classifier.on_server(server, bundle, deadline=deadline, retry_for=retry_for, requests=requests)
    run = infer_run.LocalRun(source, batch, threads, every, live, seconds, show, save, mpp, resume)
    infer_run.infer_here(classify, run, results, outputs)


def _refuse(option: str, others: Mapping[str, object], expected: str, next_step: str) -> None:
    """Raises an error for options that have no effect together with `option`."""
    if given := [name for name, value in others.items() if value]:
        raise UsageError(f"{option} together with {' and '.join(given)}", expected=expected, next_step=next_step)
