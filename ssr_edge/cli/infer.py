"""`ssr-edge infer`: images -> predictions."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ssr_edge.common.errors import ServerError, UsageError

if TYPE_CHECKING:
    from ssr_edge.results.groups import Groups
    from ssr_edge.results.results import Results

FAILED_INPUTS = 3


def infer(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder, glob in quotes, image, slide, video, camera (0), rtsp:// or http:// stream; - for stdin."
        ),
    ],
    bundle: Annotated[Path | None, typer.Option(help="Bundle. (default: newest)", show_default=False)] = None,
    runtime: Annotated[str, typer.Option(help="auto, openvino, tensorrt, tensorrt-rtx, onnxruntime.")] = "auto",
    precision: Annotated[
        str | None, typer.Option(help="(default: the one the bundle chose)", show_default=False)
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
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run with these outputs stopped.")] = False,
    group_by: Annotated[
        str | None,
        typer.Option(help="A second table by patient (BreaKHis names), or by a regular expression's first group."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images in one engine call.")] = 8,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Decoders. (default: one a core)", show_default=False)
    ] = None,
    requests: Annotated[
        int, typer.Option(min=1, help="Engine calls under way at once; one computes while the next is prepared.")
    ] = 2,
    live: Annotated[
        bool | None,
        typer.Option(
            "--live/--no-live",
            help="The newest frame wins, others are dropped. (default: for cameras and streams)",
            show_default=False,
        ),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Only every Nth frame of a video, camera or stream.")] = 1,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after so many seconds.", show_default=False)
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show label and confidence on the image, in a window.")] = False,
    save: Annotated[
        str | None,
        typer.Option(help="Annotated copy: NAME.mp4 of a video, camera or stream, or a folder.", show_default=False),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=20, help="Slides: micrometers a pixel. (default: what each slide says)", show_default=False
        ),
    ] = None,
    resize: Annotated[
        Literal["cpu", "gpu"], typer.Option(help="Where images are resized; gpu with TensorRT only.")
    ] = "cpu",
    server: Annotated[
        str | None,
        typer.Option(
            help="Use a KServe v2 server's model: grpc://HOST:PORT/MODEL.", show_default=False, rich_help_panel="Server"
        ),
    ] = None,
    deadline: Annotated[
        float, typer.Option(min=0.1, help="Seconds in which a request must be answered.", rich_help_panel="Server")
    ] = 10.0,
    retry_for: Annotated[
        float,
        typer.Option(min=0, help="Seconds for which a request that failed is sent again.", rich_help_panel="Server"),
    ] = 30.0,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]",
            help="Compute on a Ray cluster: HOST:PORT of its head; without an address on this machine.",
            show_default=False,
            rich_help_panel="Ray",
        ),
    ] = None,
    actors: Annotated[
        int | None,
        typer.Option(min=1, help="Engines. (default: as many as fit)", show_default=False, rich_help_panel="Ray"),
    ] = None,
    num_cpus: Annotated[int, typer.Option(min=1, help="Cores of each actor.", rich_help_panel="Ray")] = 1,
    num_gpus: Annotated[
        float, typer.Option(min=0, help="GPUs of each actor; 0.5 for two on one.", rich_help_panel="Ray")
    ] = 0,
    part_size: Annotated[
        int, typer.Option(min=1, help="Images in a part: what is computed again after a loss.", rich_help_panel="Ray")
    ] = 1000,
) -> None:
    """Classify images, videos, streams and whole slides. Decision support for research, not a medical device."""
    from ssr_edge.bundle.bundle import Bundle
    from ssr_edge.cli.engine import local_engine, served_engine
    from ssr_edge.common.interrupt import interruptible
    from ssr_edge.common.progress import progress
    from ssr_edge.inference.run import run_source
    from ssr_edge.machine.environment import usable_cores
    from ssr_edge.overlay.sinks import open_sinks
    from ssr_edge.results.record import RunRecord
    from ssr_edge.results.results import Results
    from ssr_edge.runners.server.address import RetryPolicy
    from ssr_edge.slides.report import SlideReports
    from ssr_edge.sources.choose import open_source

    outputs = list(dict.fromkeys(output or ["predictions.csv"]))
    results = Results(outputs, group_by)
    if ray is not None:
        from ssr_edge.distributed.command import InferRequest, RayOptions, infer_on_ray

        local_only = {"--server": server, "--threads": threads, "--live": live, "--seconds": seconds}
        local_only |= {"--show": show, "--save": save, "--mpp": mpp}
        _refuse_with_ray(source, [option for option, value in local_only.items() if value])
        opened = Bundle.open(bundle) if bundle else Bundle.newest()
        request = InferRequest(source, opened, runtime, precision, resize, batch, requests, every, resume)
        done, took = infer_on_ray(request, RayOptions(ray, actors, num_cpus, num_gpus, part_size), results)
        _end(results, outputs, done, took, [])
        return
    if server is None:
        engine = local_engine(bundle, runtime, precision, requests, resize)
    else:
        retry_policy = RetryPolicy(deadline, retry_for)
        engine = served_engine(
            server, bundle, retry_policy, requests, runtime=runtime, precision=precision, resize=resize
        )
    stop = Event()
    slides = SlideReports(engine.magnification, mpp, results.first_output)
    inputs = open_source(source, stop, every, live, slides.tiles_of)
    if resume and not inputs.repeatable:
        raise UsageError(
            f"--resume with {inputs.shown}: what a camera or stream showed does not come again",
            expected="files",
            next_step=f"ssr-edge infer {inputs.shown} -o OTHER.csv",
        )
    with (
        results,
        engine.open(inputs.live or batch == 1) as runner,
        open_sinks(inputs, source, save, show, stop) as sinks,
    ):
        print(f"{engine.title}: {runner.name} on {runner.device} ({engine.why}; {runner.origin})", file=sys.stderr)
        record = RunRecord.of(engine.bundle, runner)
        if resume:
            inputs = replace(inputs, inputs=results.resume(record, inputs.inputs, slides.add))
            print(f"going on after {results.counts.total() + results.failed} inputs", file=sys.stderr)
        else:
            results.begin(record)
        before = results.counts.total()
        started = time.perf_counter()
        # A live run reports by itself.
        shown = nullcontext(_say_nothing) if inputs.live else progress("classifying, image", None)
        with _saying_how_to_go_on(results, inputs.repeatable), interruptible(stop, seconds), shown as advance:
            for result in run_source(
                inputs,
                runner,
                batch_size=batch,
                threads=threads or usable_cores(),
                magnification=engine.magnification,
                stop=stop,
                sinks=sinks,
            ):
                results.add(result)
                slides.add(result)
                advance(1, f"{(results.counts.total() - before) / (time.perf_counter() - started):.0f}/s")
        took = time.perf_counter() - started
    _end(results, outputs, results.counts.total() - before, took, slides.summaries)


def _refuse_with_ray(source: str, options: list[str]) -> None:
    if options:
        raise UsageError(
            f"--ray together with {' and '.join(options)}",
            expected="images in files, each classified once, on any node",
            next_step=f"ssr-edge infer {source} --ray  (or without --ray, on this machine)",
        )


def _end(results: Results, outputs: list[str], done: int, seconds: float, slides: list[str]) -> None:
    """Sums up, and ends with its exit code where inputs failed."""
    from ssr_edge.cli.tables import classes_table

    if "-" not in outputs:
        classes_table(results)
    print(f"{done} images in {seconds:.1f} s, {done / seconds:.1f} images/s -> {', '.join(outputs)}", file=sys.stderr)
    for summary in slides:
        print(summary, file=sys.stderr)
    for flag, count in sorted(results.flags.items()):
        print(f"{count} flagged {flag}", file=sys.stderr)
    if results.groups is not None:
        _tell_groups(results.groups, results.groups_file)
    if results.failed:
        print(f"{results.failed} failed, listed in {results.failures_file}:", file=sys.stderr)
        for failure in results.failures:
            print(f"  {failure.source}: {failure.reason}", file=sys.stderr)
        raise typer.Exit(FAILED_INPUTS)


@contextmanager
def _saying_how_to_go_on(results: Results, repeatable: bool) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit, ServerError):
        said = f"stopped after {results.counts.total() + results.failed} inputs, all written"
        more = "; the same command with --resume goes on from there" if results.can_be_resumed and repeatable else ""
        print(said + more, file=sys.stderr)
        raise


def _tell_groups(groups: Groups, file: Path) -> None:
    print(f"{len(groups)} groups -> {file}", file=sys.stderr)
    if groups.ungrouped:
        print(f"{groups.ungrouped} images belong to no group:", file=sys.stderr)
        for source in groups.ungrouped_sources:
            print(f"  {source}", file=sys.stderr)


def _say_nothing(steps: int, note: str) -> None:
    pass
