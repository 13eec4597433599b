"""What a benchmark found, and bench.json's exact form of it (design section 7)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ssr_edge.bench.measure.beside_vendor_tool import BesideVendorTool
from ssr_edge.bench.measure.engines import BASELINES
from ssr_edge.bench.measure.on_gpu import OnGpu
from ssr_edge.bench.measure.rounds import Loaded, Times, Warm
from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.measure.statistics import Percentiles, Ratio, paired_speedup, percentiles
from ssr_edge.bench.profile.layers import Profile
from ssr_edge.bench.profile.roofline import Roofline
from ssr_edge.bench.report.schema import BenchFile, BundleFacts
from ssr_edge.breakhis.labels import ImagesWithTruth
from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import replacing
from ssr_edge.common.text import printable
from ssr_edge.evaluation.accuracy import Accuracy, Predicted

METHOD = (
    "Timed: uint8 BGR 224x224 images in host memory -> probabilities in host memory, one call after the other, "
    "normalization included; multi-stream: queries of 8; end-to-end: image files -> labels; live: frame -> label. "
    "One process an engine, in turns, only one awake."
)

# An idle desktop takes a percent or two.
DISTURBED_SHARE = 0.05


@dataclass(frozen=True)
class Result:
    """A row of the table. latency: of one call; for end-to-end of one image. peak_rss_mb: its process's, up to queries.

    times: every call's, by round. warm: its warm-up.
    """

    task: Task
    latency: Percentiles
    images_per_second: float
    peak_rss_mb: float | None
    warm: Warm
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
class Noise:
    """An A/A pair: how many times faster than an engine its equal in another process seemed to be.

    task: the engine's, that both were timed in.
    """

    task: Task
    ratio: Ratio


@dataclass(frozen=True)
class Live:
    """The live scenario of an engine. latency_ms: of each label, from the moment its frame was there; None without any.

    fps: frames a second that came. frames, dropped: how many came, and how many a newer one replaced.
    """

    engine: str
    fps: float
    frames: int
    dropped: int
    latency_ms: Percentiles | None


@dataclass(frozen=True)
class Report:
    """Everything a benchmark found. failures, not_run: reason by engine. notes: what a reader should know, in words.

    created: UTC, ISO 8601. command: measures the same again. images_sha256: of the images' contents, in order.
    predictions: what each engine said of `images`, which lie in `folder`; empty where the weights are random.
    others_share: of the processor, taken by other programs while an engine was timed (the worst engine's), 0 to 1.
    batch_ms: by engine, ms of a call at each batch tried. noise: A/A pairs. stages: by engine, ms an image of each.
    energy: by task, joules of an image by meter; meters: by name what is inside its figure; no_meters: why there are no
    more. profiles, rooflines: by engine, of those whose layers were timed, and of these on a CPU.
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
    batch_ms: dict[str, dict[int, float]] = field(default_factory=dict)
    noise: list[Noise] = field(default_factory=list)
    live: list[Live] = field(default_factory=list)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    energy: dict[Task, dict[str, float]] = field(default_factory=dict)
    meters: dict[str, str] = field(default_factory=dict)
    no_meters: list[str] = field(default_factory=list)
    peers: list[BesideVendorTool] = field(default_factory=list)
    profiles: dict[str, Profile] = field(default_factory=dict)
    rooflines: dict[str, Roofline] = field(default_factory=dict)
    on_gpu: OnGpu | None = None

    @property
    def noise_share(self) -> float | None:
        """What two equal engines seemed to differ by at most, as a share; None where no pair was timed."""
        return max((pair.ratio.reach for pair in self.noise), default=None)

    @property
    def within_noise(self) -> list[Speedup]:
        """The speed-ups that are no larger than what two equal engines seemed to differ by."""
        share = self.noise_share
        return [] if share is None else [row for row in self.speedups if abs(row.ratio.ratio - 1) <= share]

    @property
    def disturbed(self) -> bool:
        """Whether other programs took so much of the processor that the figures mean little."""
        return self.others_share is not None and self.others_share > DISTURBED_SHARE


def scenario_name(task: Task) -> str:
    """As reports call it."""
    return f"{task.scenario}, batch {task.batch}" if task.scenario == "offline" else task.scenario


def summarize_times(
    times: Mapping[Task, Times],
    warm: Mapping[Task, Warm],
    peak_rss_mb: Mapping[str, float | None],
    seed: int,
) -> tuple[list[Result], list[Speedup]]:
    """Turns call times into rows, and compares each row with the baseline's: PyTorch's, else OpenVINO FP32's.

    peak_rss_mb: of each engine that came to the end; the others have no rows.
    """
    times = {task: rounds for task, rounds in times.items() if task.engine in peak_rss_mb}
    results = [_result(task, rounds, warm[task], peak_rss_mb[task.engine]) for task, rounds in times.items()]
    present = {task.engine for task in times}
    baseline = next((name for name in BASELINES if name in present), None)
    speedups = []
    for task, rounds in times.items():
        base = None if task.engine == baseline else counterpart(task, baseline, times)
        if base is not None:
            ratio = paired_speedup(_an_image(base, times[base]), _an_image(task, rounds), seed)
            speedups.append(Speedup(task, base.engine, ratio))
    return results, speedups


def counterpart(task: Task, engine: str | None, tasks: Collection[Task]) -> Task | None:
    """The engine's task that another's is compared with: of the same batch, or else its only one of the scenario.

    Offline gives each engine its best batch, so that the batches differ.
    """
    same = [other for other in tasks if (other.engine, other.scenario) == (engine, task.scenario)]
    exact = [other for other in same if other.batch == task.batch]
    return exact[0] if exact else same[0] if len(same) == 1 else None


def _an_image(task: Task, rounds: Times) -> Times:
    return [[ms / task.images_a_call for ms in turn] for turn in rounds]


def _result(task: Task, rounds: Times, warm: Warm, peak_rss_mb: float | None) -> Result:
    latency = percentiles([ms for turn in rounds for ms in turn])
    return Result(task, latency, task.images_a_call * 1000 / latency.p50, peak_rss_mb, warm, rounds)


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
                "first_call_ms": row.warm.first_ms,
                "warm_up": {"calls": row.warm.calls, "seconds": round(row.warm.seconds, 3)},
                "calls": sum(map(len, row.times)),
                "round_medians_ms": [round(ms, 4) for ms in row.round_medians],
            }
            for row in report.results
        ],
        "speedup": [
            asdict(row.task) | {"over": row.over, "ratio": row.ratio.ratio, "ci95": (row.ratio.low, row.ratio.high)}
            for row in report.speedups
        ],
        "noise": [
            asdict(pair.task) | {"ratio": pair.ratio.ratio, "ci95": (pair.ratio.low, pair.ratio.high)}
            for pair in report.noise
        ],
        "live": [asdict(row) for row in report.live],
        "stages": report.stages,
        "energy": [
            asdict(task) | {"meter": meter, "joules_per_image": joules}
            for task, found in report.energy.items()
            for meter, joules in found.items()
        ],
        "meters": report.meters,
        "no_meters": report.no_meters,
        "peers": [
            {key: value for key, value in asdict(row).items() if key != "ratio"}
            | {"ratio": row.ratio.ratio, "ci95": (row.ratio.low, row.ratio.high)}
            for row in report.peers
        ],
        "layers": {name: profile.as_json() for name, profile in report.profiles.items()},
        "rooflines": {name: _roofline(found) for name, found in report.rooflines.items()},
        "accuracy": [asdict(row) | {"labels": report.predictions[row.engine].labels} for row in report.accuracy],
        "engines": {
            name: asdict(loaded)
            | {"batches": [{"batch": batch, "ms": ms} for batch, ms in report.batch_ms.get(name, {}).items()]}
            for name, loaded in report.engines.items()
        },
        "failures": [{"engine": name, "reason": reason} for name, reason in report.failures.items()],
        "not_run": [{"engine": name, "reason": reason} for name, reason in report.not_run.items()],
        "notes": report.notes,
        "rounds": report.rounds,
        "others_share": report.others_share,
        "disturbed": report.disturbed,
        "method": METHOD,
        "on_gpu": None if report.on_gpu is None else _on_gpu(report.on_gpu),
    }
    return BenchFile.model_validate(content)


def _roofline(found: Roofline) -> dict[str, Any]:
    return {
        "peaks": asdict(found.peaks),
        "measured_ms": found.measured_ms,
        "bound_ms": found.bound_ms,
        "gap": found.gap,
        "blocks": [asdict(block) | {"bound_ms": block.bound_ms} for block in found.blocks],
    }


def _on_gpu(found: OnGpu) -> dict[str, Any]:
    engines = {
        name: {
            "device_mb": found.device_mb.get(name),
            "phases": [{"batch": row.batch} | asdict(row.phases) for row in found.phases.get(name, [])],
            "reason": found.reasons.get(name),
        }
        for name in found.engines
    }
    return {
        "engines": engines,
        "before": None if found.before is None else asdict(found.before),
        "after": None if found.after is None else asdict(found.after),
    }


def as_json(report: Report) -> dict[str, Any]:
    """The plain values of bench.json."""
    return as_bench_file(report).model_dump(mode="json")


def as_text(report: Report) -> str:
    """bench.json, with lists of numbers on one line each."""
    text = json.dumps(as_json(report), indent=1)
    # No string of a JSON text has a line break in it, so this finds lists alone.
    return re.sub(r"\[\n([-+\s\d.,enul]*)\]", lambda found: f"[{' '.join(found[1].split())}]", text)


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
