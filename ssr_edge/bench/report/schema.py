"""The schema of bench.json; `python -m ssr_edge.bench.report.schema` prints it as docs/bench.schema.json has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ssr_edge.bench.measure.schedule import Scenario
from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import UsageError

SCHEMA_VERSION: Final = 2
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NEXT = "ssr-edge bench --json bench.json  (writes a file of this version)"


class _Part(BaseModel):
    # JSON has neither NaN nor infinity.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, json_schema_serialization_defaults_required=True
    )


class GpuFacts(_Part):
    """driver_cuda: the newest CUDA that its driver runs."""

    name: str
    compute_capability: str
    driver_cuda: str


class Environment(_Part):
    """The machine. memory_gb: of 10^9 bytes. load_average: over the minute before; packages: version by name."""

    # A newer ssr-edge may know more of its machine.
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
    gpu: GpuFacts | None


class BundleFacts(_Part):
    """The bundle whose engines were measured, as its manifest has it."""

    name: str
    created: str
    checkpoint_sha256: str


class Images(_Part):
    """The images that were classified. sha256: of their contents, in order.

    truth: position in `classes` of each image's class, null where it is not known.
    """

    folder: str
    sha256: str
    classes: list[str] = list(CLASSES)
    truth: list[int | None]


class TaskFacts(_Part):
    """An engine in a scenario. batch: images in one engine call."""

    engine: str
    scenario: Scenario
    batch: int = Field(ge=1)


class LatencyFacts(_Part):
    """Percentiles in ms: of one call, for multi-stream of a query of 8 images, for end-to-end of one image."""

    p50: float
    p90: float
    p95: float
    p99: float
    max: float


class WarmUpFacts(_Part):
    """How long it took until its time settled, or what was allowed was over; for end-to-end calls are images."""

    calls: int
    seconds: float


class ResultFacts(TaskFacts):
    """A row of the table. images_per_second: at the median.

    peak_rss_mb: its process's, of 10^6 bytes, with batches up to a query's 8.

    round_medians_ms: the median of each round; those of all rows were taken at the same moments, so rows of one file
    can be paired by round.
    """

    latency_ms: LatencyFacts
    images_per_second: float
    peak_rss_mb: float | None
    first_call_ms: float
    warm_up: WarmUpFacts
    calls: int
    round_medians_ms: list[float] = Field(min_length=1)


class SpeedupFacts(TaskFacts):
    """How many times faster than `over` in the same scenario. ci95: bootstrap interval of the median over rounds."""

    over: str
    ratio: float
    ci95: tuple[float, float]


class NoiseFacts(TaskFacts):
    """How many times faster than the engine a second process of the same engine seemed to be: nothing but noise."""

    ratio: float
    ci95: tuple[float, float]


class LiveFacts(_Part):
    """Frames at a set rate, the newest first. latency_ms: from a frame's capture to its label; null without a label.

    fps: frames a second that came. dropped: of `frames`, those that a newer one replaced before the engine was free.
    """

    engine: str
    fps: float
    frames: int
    dropped: int
    latency_ms: LatencyFacts | None


class EnergyFacts(TaskFacts):
    """Joules of an image: the energy that the meter counted while the row was timed, by image, idle draw included."""

    meter: str
    joules_per_image: float


class VendorToolFacts(_Part):
    """An engine beside the vendor's own tool, single-stream. ratio: our time over the tool's, paired by turn.

    what: inside the tool's time, in words. command: what was run, for the same once more.
    """

    engine: str
    tool: str
    version: str
    command: str
    what: str
    ours_ms: float
    vendor_ms: float
    ratio: float
    ci95: tuple[float, float]


class LayerFacts(_Part):
    """A layer as the runtime calls it. block: of the network. ms: median of a call, profiled.

    precision: what it was computed in, empty where the runtime does not say.
    """

    name: str
    kind: str
    block: str
    ms: float
    precision: str


class ProfileFacts(_Part):
    """An engine's layers, in the order they ran. Profiling slows an engine: shares mean something, the sum does not."""

    layers: list[LayerFacts]
    calls: int


class PeaksFacts(_Part):
    """The most that this machine's cores were seen to do. multiply_adds_per_s: by precision."""

    multiply_adds_per_s: dict[str, float]
    copy_bytes_per_s: float
    cache_copy_bytes_per_s: float


class BlockRoofFacts(_Part):
    """A block of one image. operations: multiply-adds. bound_ms: the longer of compute_ms and transfer_ms."""

    block: str
    operations: int
    bytes: int
    compute_ms: float
    transfer_ms: float
    measured_ms: float
    bound_ms: float


class RooflineFacts(_Part):
    """How far an engine is from what the peaks allow. gap: measured_ms over bound_ms."""

    peaks: PeaksFacts
    measured_ms: float
    bound_ms: float
    gap: float
    blocks: list[BlockRoofFacts]


class AccuracyFacts(_Part):
    """images: how many it classified; labeled: how many of them have a known class.

    agreement_with_fp32: share of images with the same label as the baseline; null for want of one.
    labels: for each image its position in `images.classes`, null where it could not be read.
    """

    engine: str
    macro_f1: float | None
    accuracy: float | None
    agreement_with_fp32: float | None
    images: int
    labeled: int
    labels: list[int | None]


class BatchFacts(_Part):
    """ms of a call of `batch` images, seen while warming up."""

    batch: int
    ms: float


class EngineFacts(_Part):
    """What an engine said of itself. origin: where it came from, in words. max_batch: images it takes in one call.

    threads: that it computes with; null on a GPU. batches: those that were tried, to find offline's.
    """

    version: str
    device: str
    origin: str
    max_batch: int
    load_ms: float
    threads: int | None
    batches: list[BatchFacts]


class PhasesFacts(_Part):
    """Where a call of `batch` images goes on a GPU, medians in ms. h2d, d2h: the copies to it and back.

    enqueue_ms: of the host, to queue the copies and the engine between them.
    """

    batch: int
    h2d_ms: float
    compute_ms: float
    d2h_ms: float
    enqueue_ms: float


class EngineOnGpu(_Part):
    """device_mb: what its process held on the GPU in the end, of 10^6 bytes; null where NVML does not say.

    phases: at batch 1 and at offline's. reason: why there are none, in words.
    """

    device_mb: float | None
    phases: list[PhasesFacts]
    reason: str | None


class GpuStateFacts(_Part):
    """The GPU at one moment, under load; null is what its driver does not tell. sm_clock_mhz: of its multiprocessors.

    throttled: why it ran below its highest clocks, in words. reason: why nothing is known, in words.
    """

    sm_clock_mhz: int | None
    temperature_c: int | None
    power_w: float | None
    throttled: list[str]
    reason: str | None


class OnGpuFacts(_Part):
    """What was found on the GPU alone. before, after: the rounds; null where no engine could keep it busy."""

    engines: dict[str, EngineOnGpu]
    before: GpuStateFacts | None
    after: GpuStateFacts | None


class ReasonFacts(_Part):
    """Why an engine has no rows, in words."""

    engine: str
    reason: str


class BenchFile(_Part):
    """bench.json. command: measures the same again. rounds: turns that every row had.

    others_share: of the processor, taken by other programs while an engine was timed (the worst engine's), 0 to 1.
    disturbed: whether that is so much that the figures mean little. method: what was timed, in words.
    noise: A/A pairs. stages: by engine, ms an image of each stage of end-to-end, alone and in one thread.
    meters: by name what is inside its figure; no_meters: why there are no more. layers, rooflines: by engine.
    on_gpu: null where no engine ran on a GPU.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    created: str
    command: str
    bundle: BundleFacts
    environment: Environment
    images: Images
    results: list[ResultFacts]
    speedup: list[SpeedupFacts]
    noise: list[NoiseFacts]
    live: list[LiveFacts]
    stages: dict[str, dict[str, float]]
    energy: list[EnergyFacts]
    meters: dict[str, str]
    no_meters: list[str]
    peers: list[VendorToolFacts]
    layers: dict[str, ProfileFacts]
    rooflines: dict[str, RooflineFacts]
    accuracy: list[AccuracyFacts]
    engines: dict[str, EngineFacts]
    failures: list[ReasonFacts]
    not_run: list[ReasonFacts]
    notes: list[str]
    rounds: int
    others_share: float | None
    disturbed: bool
    method: str
    on_gpu: OnGpuFacts | None = None


def read_bench(path: Path) -> BenchFile:
    """Reads a bench.json.

    Raises:
        UsageError: it can't be read, is no JSON, or is of another schema version.
    """
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise _unusable(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested too deep
        raise _unusable(f"{path} is no JSON file: {error}") from error
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version != SCHEMA_VERSION:
        what = "no schema version" if version is None else f"schema version {version!r}"
        raise _unusable(f"{path} has {what}")
    try:
        return BenchFile.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise _unusable(f"{path}: {where}: {first['msg']}") from error


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the file, as written."""
    return {"$schema": _DIALECT, **BenchFile.model_json_schema(mode="serialization"), "title": "bench.json"}


def _unusable(found: str) -> UsageError:
    return UsageError(
        found, expected=f"a bench.json of schema version {SCHEMA_VERSION}, which this ssr-edge reads", next_step=_NEXT
    )


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=1))
