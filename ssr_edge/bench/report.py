"""What a benchmark found, and bench.json's exact form of it (design section 7)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssr_edge.bench.accuracy import Accuracy, Predicted
from ssr_edge.bench.engines import BASELINES
from ssr_edge.bench.measure import Finished, Loaded, Times, Warm
from ssr_edge.bench.schedule import Task
from ssr_edge.bench.schema import BenchFile, BundleFacts
from ssr_edge.bench.statistics import Percentiles, Ratio, paired_speedup, percentiles
from ssr_edge.errors import UsageError
from ssr_edge.files import replacing
from ssr_edge.labels import ImagesWithTruth

METHOD = (
    "Timed: uint8 BGR 224x224 images in host memory -> probabilities in host memory, one call after the other, "
    "normalisation included; end-to-end: image files -> labels. One process an engine, in turns, only one awake."
)

# An idle desktop takes a percent or two.
DISTURBED_SHARE = 0.05


@dataclass(frozen=True)
class Result:
    """A row of the table. latency: of one call; for end-to-end of one image. peak_rss_mb: its process's.

    times: every call's, by round.
    """

    task: Task
    latency: Percentiles
    images_per_second: float
    peak_rss_mb: float | None
    first_call_ms: float
    times: Times

    @property
    def round_medians(self) -> list[float]:
        """Median of each round, in ms."""
        return [float(np.median(turn)) for turn in self.times]


@dataclass(frozen=True)
class Speedup:
    """How many times faster a task is than the baseline's task of the same scenario and batch."""

    task: Task
    over: str
    ratio: Ratio


@dataclass(frozen=True)
class Report:
    """Everything a benchmark found. failures, not_run: reason by engine. notes: what a reader should know, in words.

    created: UTC, ISO 8601. command: measures the same again. images_sha256: of the images' contents, in order.
    predictions: what each engine said of `images`, which lie in `folder`; empty where the weights are random.
    others_share: of the processor, taken by other programs while an engine was timed (the worst engine's), 0 to 1.
    """

    created: str
    command: str
    bundle: BundleFacts
    environment: dict[str, Any]
    folder: Path
    images: ImagesWithTruth
    images_sha256: str
    predictions: dict[str, Predicted]
    engines: dict[str, Loaded]
    results: list[Result]
    speedups: list[Speedup]
    accuracy: list[Accuracy]
    failures: dict[str, str]
    not_run: dict[str, str]
    notes: list[str]
    rounds: int
    others_share: float | None

    @property
    def disturbed(self) -> bool:
        """Whether other programs took so much of the processor that the figures mean little."""
        return self.others_share is not None and self.others_share > DISTURBED_SHARE


def scenario_name(task: Task) -> str:
    """As reports call it."""
    return f"{task.scenario}, batch {task.batch}" if task.scenario == "offline" else task.scenario


def summarise_times(
    times: Mapping[Task, Times],
    warm: Mapping[Task, Warm],
    finished: Mapping[str, Finished],
    seed: int,
) -> tuple[list[Result], list[Speedup]]:
    """Turns call times into rows, and compares each row with the baseline's: PyTorch's, else OpenVINO FP32's."""
    times = {task: rounds for task, rounds in times.items() if task.engine in finished}
    results = [_result(task, rounds, warm[task], finished[task.engine]) for task, rounds in times.items()]
    present = {task.engine for task in times}
    baseline = next((name for name in BASELINES if name in present), None)
    speedups = []
    for task, rounds in times.items():
        if baseline is None or task.engine == baseline:
            continue
        # The baseline may take no such batch.
        base = times.get(Task(baseline, task.scenario, task.batch))
        if base is not None:
            speedups.append(Speedup(task, baseline, paired_speedup(base, rounds, seed)))
    return results, speedups


def _result(task: Task, rounds: Times, warm: Warm, finished: Finished) -> Result:
    all_times = [ms for turn in rounds for ms in turn]
    latency = percentiles(all_times)
    images = task.batch if task.scenario == "offline" else 1
    return Result(task, latency, images * 1000 / latency.p50, finished.peak_rss_mb, warm.first_ms, rounds)


def as_bench_file(report: Report) -> BenchFile:
    """What bench.json holds."""
    content = {
        "created": report.created,
        "command": report.command,
        "bundle": report.bundle,
        "environment": report.environment,
        "images": {
            "folder": printable(report.folder),
            "sha256": report.images_sha256,
            "truth": report.images.truth,
        },
        "results": [
            asdict(row.task)
            | {
                "latency_ms": asdict(row.latency),
                "images_per_second": row.images_per_second,
                "peak_rss_mb": row.peak_rss_mb,
                "first_call_ms": row.first_call_ms,
                "calls": sum(map(len, row.times)),
                "round_medians_ms": [round(ms, 4) for ms in row.round_medians],
            }
            for row in report.results
        ],
        "speedup": [
            asdict(row.task) | {"over": row.over, "ratio": row.ratio.ratio, "ci95": (row.ratio.low, row.ratio.high)}
            for row in report.speedups
        ],
        "accuracy": [asdict(row) | {"labels": report.predictions[row.engine].labels} for row in report.accuracy],
        "engines": {name: asdict(loaded) for name, loaded in report.engines.items()},
        "failures": [{"engine": name, "reason": reason} for name, reason in report.failures.items()],
        "not_run": [{"engine": name, "reason": reason} for name, reason in report.not_run.items()],
        "notes": report.notes,
        "rounds": report.rounds,
        "others_share": report.others_share,
        "disturbed": report.disturbed,
        "method": METHOD,
    }
    return BenchFile.model_validate(content)


def as_json(report: Report) -> dict[str, Any]:
    """The plain values of bench.json."""
    return as_bench_file(report).model_dump(mode="json")


def as_text(report: Report) -> str:
    """bench.json, with lists of numbers on one line each."""
    text = json.dumps(as_json(report), indent=1)
    # No string of a JSON text has a line break in it, so this finds lists alone.
    return re.sub(r"\[\n([-+\s\d.,enul]*)\]", lambda found: f"[{' '.join(found[1].split())}]", text)


def printable(path: Path | str) -> str:
    """A path as text that any file can hold; bytes of its name that are no UTF-8 are written as `\\xff`."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


def write_json(report: Report, path: Path) -> None:
    """Writes bench.json in one step.

    Raises:
        UsageError: the file can't be written.
    """
    write_text(path, as_text(report) + "\n", "--json")


def write_text(path: Path, text: str, option: str) -> None:
    """Writes a file that an option named, in one step.

    Raises:
        UsageError: the file can't be written.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} can't be written: {error.strerror}",
            expected="a file in a folder that you may write to",
            next_step=f"ssr-edge bench {option} OTHER/{path.name}",
        ) from error
