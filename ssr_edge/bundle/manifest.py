"""Schema of a bundle's manifest.json: its files, their provenance, and what was checked and measured."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from ssr_edge.common.older_names import OlderNames
from ssr_edge.images.preprocess import IMAGE_SIZE, MEAN_BGR, STD_BGR

SCHEMA_VERSION = 1
# From the most precise to (usually) the fastest. bf16 has no file of its own: OpenVINO runs the FP32 model in bfloat16.
Precision = Literal["fp32", "bf16", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16", "int8")
SQNR_LIMIT = 200.0
# Largest magnitude of symmetric INT8: what the range of a tensor maps to.
QMAX = 127


class _Entry(OlderNames):
    model_config = ConfigDict(extra="forbid")


class FileEntry(_Entry):
    """A file of the bundle. path: relative to the bundle, with forward slashes. size: in bytes."""

    path: str
    sha256: str
    size: int


class Preprocessing(_Entry):
    """How an image becomes the network's input. Decoding and resizing precede the engine; the rest is inside it.

    size: height and width in pixels. mean, deviation: by channel in color_order, for values in [0, 1].
    """

    older_names: ClassVar[dict[str, str]] = {"colour_order": "color_order"}

    resize: Literal["area"] = "area"
    size: int = IMAGE_SIZE
    color_order: Literal["BGR"] = "BGR"
    mean: tuple[float, float, float] = MEAN_BGR
    deviation: tuple[float, float, float] = STD_BGR


class Provenance(_Entry):
    """Origin of the weights.

    checkpoint: its path at build time. data: the training data set. data_fingerprint: SHA-256 of its image names by
    split part. tools: package -> version. fine_tuned_from: SHA-256 of the checkpoint that quantization-aware training
    started from; None without it.
    """

    checkpoint: str
    checkpoint_sha256: str
    data: str
    data_fingerprint: str
    tools: dict[str, str]
    fine_tuned_from: str | None = None


class BlockError(_Entry):
    """Largest output difference caused by folding one block, given its exact input, relative to its largest output."""

    block: str
    fp32: float
    fp64: float


class FoldCheck(_Entry):
    """Check that folding layers leaves the logits unchanged, on `images` images.

    fp32, fp64: largest logit difference in either arithmetic, relative to the largest logit.
    """

    images: int
    fp32: float
    fp64: float
    blocks: list[BlockError]


class OnnxParity(_Entry):
    """Largest difference of ONNX Runtime's FP32 logits from PyTorch's over `images` images, relative to the largest."""

    images: int
    relative_error: float


class CalibrationEntry(_Entry):
    """INT8 calibration. images: SHA-256 of each calibration image file. ranges_sha256: SHA-256 of the ranges alone.

    equalized, bias_corrected: corrections that were applied; False in bundles from before they existed.
    """

    older_names: ClassVar[dict[str, str]] = {"equalised": "equalized"}

    method: str
    images: list[str]
    ranges_sha256: str
    equalized: bool = False
    bias_corrected: bool = False


class SignalError(_Entry):
    """Error of quantized values. cosine: cosine similarity to the exact values.

    sqnr_db: signal-to-quantization-noise ratio in dB, limited to +-SQNR_LIMIT because JSON has no infinity.
    """

    sqnr_db: float
    cosine: float


class QuantizationError(_Entry):
    """The error with only the weights quantized, only the activations, and both."""

    weights: SignalError
    activations: SignalError
    both: SignalError


class BlockQuantization(QuantizationError):
    """The error at a block's output when only this block is quantized and its input is exact."""

    block: str


class QuantizedTensor(_Entry):
    """A tensor that INT8 quantizes. name: the node that reads it and its role there. tensor: its name in the model.

    range: the magnitude that maps to 127. A weight has one range for each output channel: `range` is the largest of
    them and `narrowest` the smallest. largest: largest magnitude observed. clipped: how many of `values` values exceed
    the range.
    """

    name: str
    tensor: str
    block: str
    kind: Literal["activation", "weight"]
    range: float
    narrowest: float | None = None
    largest: float
    values: int
    clipped: int


class QuantizationReport(_Entry):
    """INT8's error by block, measured on `images` images. logits: error of the logits, whole network quantized."""

    images: int
    logits: QuantizationError
    blocks: list[BlockQuantization]
    tensors: list[QuantizedTensor]


class Drop(_Entry):
    """A metric of an engine and of FP32 on the same images. low, high: 95 % interval of fp32 - engine."""

    engine: float
    fp32: float
    low: float
    high: float


class GateResult(_Entry):
    """Result of the accuracy gate: an engine's metrics on held-out images compared with the FP32 model's.

    patients: number of patients; None if the file names do not contain it, and intervals are then over images. labeled:
    whether the true classes are known. agreement: share of images with FP32's label, with its 95 % interval. drops: by
    metric. reasons: why it failed. unsure: limits that were exceeded, but not significantly. allowed_by: the user
    account that passed --allow-drop.
    """

    older_names: ClassVar[dict[str, str]] = {"labelled": "labeled"}

    images: int
    patients: int | None = None
    labeled: bool
    agreement: float
    agreement_interval: tuple[float, float] | None = None
    macro_f1: float | None
    macro_f1_fp32: float | None
    max_probability_difference: float
    passed: bool
    allowed_drop: bool = False
    allowed_by: str | None = None
    drops: dict[str, Drop] = Field(default_factory=dict)
    reasons: list[str] = Field(default_factory=list)
    unsure: list[str] = Field(default_factory=list)


class FloatBlockTrial(_Entry):
    """Trial of one block in floating point.

    before, error: mean logit error without and with it, relative to FP32's mean logit. added_ms: added time per image.
    kept: whether the block stayed in floating point.
    """

    block: str
    before: float
    error: float
    added_ms: float
    kept: bool


class FloatBlocks(_Entry):
    """Blocks of the INT8 model that stay in floating point.

    asked: the value of --float-blocks. why: the reason, as text. trials: in the order they were made.
    """

    asked: str
    blocks: list[str]
    why: str
    trials: list[FloatBlockTrial] = Field(default_factory=list)


class Candidate(_Entry):
    """A precision that was built. ms: median latency at batch 1, if timed. dropped: the reason if it was rejected."""

    precision: Precision
    ms: float | None = None
    dropped: str | None = None


class Choice(_Entry):
    """The precision that a runtime uses by default. device: where it was timed. why: the reason, as text."""

    precision: Precision
    device: str
    why: str
    candidates: list[Candidate]


class EngineEntry(_Entry):
    """An engine file. device: what it was built for. model: the ONNX file it was built from.

    batch: smallest, optimal and largest batch size. float_blocks: blocks of the INT8 model that it computes in floating
    point. gate: None if the accuracy gate was not run.
    """

    older_names: ClassVar[dict[str, str]] = {"islands": "float_blocks"}

    file: str
    runtime: str
    version: str
    device: str
    precision: Precision
    model: str
    batch: tuple[int, int, int]
    build_seconds: float
    options: dict[str, str] = Field(default_factory=dict)
    float_blocks: list[str] = Field(default_factory=list)
    gate: GateResult | None = None


class Manifest(_Entry):
    """Content of manifest.json.

    created: UTC, ISO 8601. classes: BreaKHis labels in the order of the logits. magnification: 40, 100, 200 or 400;
    None if trained on all. parameters: of the network as trained. multiply_adds: of the folded network, for one image.
    metrics: by split part. cam: whether models and engines also output class activation maps. chosen: default precision
    by runtime. refused: why the accuracy gate rejected the bundle, None if it did not. files: all but manifest.json.
    """

    older_names: ClassVar[dict[str, str]] = {"quantisation": "quantization", "islands": "float_blocks"}

    schema_version: int = SCHEMA_VERSION
    name: str
    created: str
    arch: dict[str, Any]
    classes: list[str]
    magnification: int | None
    preprocessing: Preprocessing = Preprocessing()
    provenance: Provenance
    parameters: int
    multiply_adds: int
    fold: FoldCheck
    onnx_parity: OnnxParity
    calibration: CalibrationEntry | None = None
    quantization: QuantizationReport | None = None
    metrics: dict[str, dict[str, Any]] = Field(default_factory=dict)
    engines: list[EngineEntry] = Field(default_factory=list)
    float_blocks: FloatBlocks | None = None
    cam: bool = False
    chosen: dict[str, Choice] = Field(default_factory=dict)
    refused: str | None = None
    files: list[FileEntry] = Field(default_factory=list)
