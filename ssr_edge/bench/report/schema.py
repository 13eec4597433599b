"""The content of bench.json, which every table, chart and comparison prints from.

`python -m ssr_edge.bench.report.schema` prints its JSON Schema as published in docs/bench.schema.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import ConfigDict, Field, ValidationError

from ssr_edge.bench.measure.schedule import Scenario, Task
from ssr_edge.bench.measure.statistics import Percentiles
from ssr_edge.bench.profile.layers import Profile
from ssr_edge.bench.profile.roofline import Roofline
from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import UsageError
from ssr_edge.common.older_names import OlderNames
from ssr_edge.machine.energy.nvml import GpuState
from ssr_edge.machine.gpu import Gpu
from ssr_edge.runners.base import Phases

SCHEMA_VERSION: Final = 3
# Version 2 differs in names only: labelled, peers, peer_ms.
_READABLE_VERSIONS = (2, SCHEMA_VERSION)
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NEXT = "ssr-edge bench --json bench.json  (writes a file of the current version)"


class _Model(OlderNames):
    # JSON has neither NaN nor infinity. Dataclasses used as fields inherit this configuration.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, json_schema_serialization_defaults_required=True
    )


class Environment(_Model):
    """The machine. memory_gb: units of 10^9 bytes. load_average: over the minute before. packages: version by name."""

    # Newer versions of ssr-edge may record more about the machine.
    model_config = ConfigDict(extra="allow")

    cpu: str
    board: str | None
    cores: int
    instruction_sets: list[str]
    governor: str | None
    memory_gb: float | None
    load_average: float | None
    os: str
    python: str
    packages: dict[str, str]
    gpu: Gpu | None


class BundleFacts(_Model):
    """Identity of the measured bundle, from its manifest."""

    name: str
    created: str
    checkpoint_sha256: str


class Images(_Model):
    """The classified images. sha256: hash of their contents, in order.

    truth: index into `classes` of each image's class; null if unknown.
    """

    folder: str
    sha256: str
    classes: list[str] = Field(default_factory=lambda: list(CLASSES))
    truth: list[int | None]


class _TaskRow(_Model):
    engine: str
    scenario: Scenario
    batch: int = Field(ge=1)

    @property
    def task(self) -> Task:
        """Engine, scenario and batch, usable as a key."""
        return Task(self.engine, self.scenario, self.batch)


class _RatioRow(_TaskRow):
    ratio: float
    ci95: tuple[float, float]


class WarmUp(_Model):
    """Warm-up until the time per call settled or the limit was reached. calls: images, for end-to-end."""

    calls: int
    seconds: float


class ResultRow(_TaskRow):
    """One row of the results table. batch: images per engine call.

    latency_ms: per call; for multi-stream per query of 8 images, for end-to-end per image.
    images_per_second: at the median latency. peak_rss_mb: of the engine's process, in 10^6 bytes, with batches of up to
    8 images. round_medians_ms: median of each round. All rows are measured in the same rounds, so rows of one file can
    be paired by round.
    """

    latency_ms: Percentiles
    images_per_second: float
    peak_rss_mb: float | None
    first_call_ms: float
    warm_up: WarmUp
    calls: int
    round_medians_ms: list[float] = Field(min_length=1)


class SpeedupRow(_RatioRow):
    """Speedup over `over` in the same scenario. ci95: bootstrap interval of the median over rounds."""

    over: str


class NoiseRow(_RatioRow):
    """An A/A pair: measured speedup of a second process of the same engine. Any difference from 1 is noise."""

    @property
    def reach(self) -> float:
        """Largest distance of the interval from 1, as a fraction."""
        low, high = self.ci95
        return max(high - 1, 1 - low, 0.0)


class LiveRow(_Model):
    """Latest-frame-first classification at a fixed frame rate.

    fps: frames per second delivered. frames: number delivered. dropped: frames replaced by a newer one before the
    engine was free. latency_ms: from capture to label; null if no frame was classified.
    """

    engine: str
    fps: float
    frames: int
    dropped: int
    latency_ms: Percentiles | None


class EnergyRow(_TaskRow):
    """Energy per image while the row was timed, including the idle power of the machine."""

    meter: str
    joules_per_image: float


class VendorToolRow(_Model):
    """An engine compared with the vendor's benchmark tool, single-stream. ratio: our time / the tool's, paired by turn.

    what: what the tool's time includes. command: reproduces the tool's measurement.
    """

    older_names: ClassVar[dict[str, str]] = {"peer_ms": "vendor_ms"}

    engine: str
    tool: str
    version: str
    command: str
    what: str
    ours_ms: float
    vendor_ms: float
    ratio: float
    ci95: tuple[float, float]


class AccuracyRow(_Model):
    """Accuracy of one engine. images: number classified. labeled: how many of them have a known class.

    agreement_with_fp32: fraction of images with the same label as the baseline; null without a baseline.
    labels: index into `images.classes` for each image; null if it could not be read.
    """

    older_names: ClassVar[dict[str, str]] = {"labelled": "labeled"}

    engine: str
    macro_f1: float | None
    accuracy: float | None
    agreement_with_fp32: float | None
    images: int
    labeled: int
    labels: list[int | None]


class BatchTime(_Model):
    """Time per call of `batch` images during warm-up."""

    batch: int
    ms: float


class EngineFacts(_Model):
    """A loaded engine. origin: where it was loaded from. max_batch: most images per call.

    threads: compute threads; null on a GPU. batches: batch sizes tried for the offline scenario.
    """

    version: str
    device: str
    origin: str
    max_batch: int
    load_ms: float
    threads: int | None
    batches: list[BatchTime]


class PhasesRow(_Model):
    """Median duration of the GPU phases of a call of `batch` images. h2d, d2h: copies to and from the GPU.

    enqueue_ms: host time to enqueue the copies and the engine.
    """

    batch: int
    h2d_ms: float
    compute_ms: float
    d2h_ms: float
    enqueue_ms: float

    @property
    def phases(self) -> Phases:
        """The durations without the batch size."""
        return Phases(self.h2d_ms, self.compute_ms, self.d2h_ms, self.enqueue_ms)


class EngineOnGpu(_Model):
    """device_mb: GPU memory of the engine's process at the end, in 10^6 bytes; null if NVML does not report it.

    phases: at batch 1 and at the offline batch sizes. reason: why phases are missing.
    """

    device_mb: float | None
    phases: list[PhasesRow]
    reason: str | None


class OnGpuFacts(_Model):
    """GPU measurements. before, after: GPU state under load around the rounds; null if no engine could load it."""

    engines: dict[str, EngineOnGpu]
    before: GpuState | None
    after: GpuState | None


class Reason(_Model):
    """Why an engine has no rows."""

    engine: str
    reason: str


class BenchFile(_Model):
    """The benchmark report, stored as bench.json. command: reproduces the measurement. rounds: turns of every row.

    noise: A/A pairs. stages: by engine, ms per image of each end-to-end stage, run alone in one thread.
    meters: what each meter's figure includes. no_meters: why other meters are missing. layers, rooflines: by engine.
    others_share: fraction of the processor used by other programs while an engine was timed (worst engine), 0 to 1.
    disturbed: others_share exceeds the limit. method: what was timed. on_gpu: null if no engine ran on a GPU.
    """

    older_names: ClassVar[dict[str, str]] = {"peers": "vendor_tools"}

    schema_version: Literal[3] = SCHEMA_VERSION
    created: str
    command: str
    bundle: BundleFacts
    environment: Environment
    images: Images
    results: list[ResultRow]
    speedup: list[SpeedupRow]
    noise: list[NoiseRow]
    live: list[LiveRow]
    stages: dict[str, dict[str, float]]
    energy: list[EnergyRow]
    meters: dict[str, str]
    no_meters: list[str]
    vendor_tools: list[VendorToolRow]
    layers: dict[str, Profile]
    rooflines: dict[str, Roofline]
    accuracy: list[AccuracyRow]
    engines: dict[str, EngineFacts]
    failures: list[Reason]
    not_run: list[Reason]
    notes: list[str]
    rounds: int
    others_share: float | None
    disturbed: bool
    method: str
    on_gpu: OnGpuFacts | None = None

    @property
    def noise_share(self) -> float | None:
        """Largest difference measured between two processes of one engine, as a fraction; None without an A/A pair."""
        return max((pair.reach for pair in self.noise), default=None)

    @property
    def within_noise(self) -> list[SpeedupRow]:
        """Speedups no larger than the difference between two processes of one engine."""
        share = self.noise_share
        return [] if share is None else [row for row in self.speedup if abs(row.ratio - 1) <= share]


def read_bench(path: Path) -> BenchFile:
    """Reads a bench.json of schema version 2 or 3.

    Raises:
        UsageError: the file can't be read, is not JSON, or has another schema version.
    """
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise _unusable(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested too deep
        raise _unusable(f"{path} is not a JSON file: {error}") from error
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version not in _READABLE_VERSIONS:
        raise _unusable(f"{path} has " + ("no schema version" if version is None else f"schema version {version!r}"))
    try:
        return BenchFile.model_validate(found | {"schema_version": SCHEMA_VERSION})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise _unusable(f"{path}: {where}: {first['msg']}") from error


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the file as written."""
    return {"$schema": _DIALECT, **BenchFile.model_json_schema(mode="serialization"), "title": "bench.json"}


def _unusable(found: str) -> UsageError:
    versions = " or ".join(map(str, _READABLE_VERSIONS))
    return UsageError(found, expected=f"a bench.json of schema version {versions}", next_step=_NEXT)


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=1))
