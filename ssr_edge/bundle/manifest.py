"""The schema of a bundle's manifest.json: what was shipped, where it came from, what was proven and measured."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from ssr_edge.common.older_names import OlderNames
from ssr_edge.images.preprocess import IMAGE_SIZE, MEAN_BGR, STD_BGR

SCHEMA_VERSION = 1
# From the most precise to the fastest that is hoped for. bf16 is OpenVINO's way to run the FP32 model, not a file.
Precision = Literal["fp32", "bf16", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16", "int8")
SQNR_LIMIT = 200.0
# Largest magnitude of symmetric INT8: what the range of a tensor maps to.
QMAX = 127


class _Entry(OlderNames):
    model_config = ConfigDict(extra="forbid")


class FileEntry(_Entry):
    """A file of the bundle. path: relative to it. size: bytes."""

    path: str
    sha256: str
    size: int


class Preprocessing(_Entry):
    """How pixels become the network's input; decode and resize before the engine, the rest inside it."""

    older_names: ClassVar[dict[str, str]] = {"colour_order": "color_order"}

    resize: Literal["area"] = "area"
    size: int = IMAGE_SIZE
    color_order: Literal["BGR"] = "BGR"
    mean: tuple[float, float, float] = MEAN_BGR
    deviation: tuple[float, float, float] = STD_BGR


class Provenance(_Entry):
    """Where the weights came from. checkpoint: its path then; data_fingerprint: SHA-256 of the names by part.

    fine_tuned_from: SHA-256 of the checkpoint that was fine-tuned with quantization; None for one trained from scratch.
    """

    checkpoint: str
    checkpoint_sha256: str
    data: str
    data_fingerprint: str
    tools: dict[str, str]
    fine_tuned_from: str | None = None


class BlockError(_Entry):
    """Largest difference a block's fold makes on its true input, relative to the block's largest output."""

    block: str
    fp32: float
    fp64: float


class FoldCheck(_Entry):
    """What was proven of the fold. fp32, fp64: largest logit difference relative to the largest logit, on `images`."""

    images: int
    fp32: float
    fp64: float
    blocks: list[BlockError]


class OnnxParity(_Entry):
    """How far ONNX Runtime's FP32 logits lie from PyTorch's, relative to the largest logit, over `images` images."""

    images: int
    relative_error: float


class CalibrationEntry(_Entry):
    """How INT8's ranges were found. images: SHA-256 of each image file. ranges_sha256: of the ranges alone.

    equalized, bias_corrected: the remedies applied; False in bundles older than they are.
    """

    older_names: ClassVar[dict[str, str]] = {"equalised": "equalized"}

    method: str
    images: list[str]
    ranges_sha256: str
    equalized: bool = False
    bias_corrected: bool = False


class SignalError(_Entry):
    """How far quantized values lie from the exact ones. cosine: of the angle between them, as vectors.

    sqnr_db: power of the exact values over that of the difference, in dB, within +-SQNR_LIMIT (JSON has no infinity).
    """

    sqnr_db: float
    cosine: float


class QuantizationError(_Entry):
    """The error when only the weights are quantized, only the activations, and both."""

    weights: SignalError
    activations: SignalError
    both: SignalError


class BlockQuantization(QuantizationError):
    """The error at a block's output when that block alone is quantized and gets its true input."""

    block: str


class QuantizedTensor(_Entry):
    """A tensor that INT8 quantizes. name: the node that reads it and what it is to it; tensor: its name in the model.

    range: magnitude that maps to 127; of a weight, which has one for each output channel, the widest channel's, and
    `narrowest` is the narrowest channel's. largest: largest magnitude seen. clipped: how many of `values` lie beyond
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
    """What INT8 costs by block, measured on `images` real images. logits: end to end, the whole network quantized."""

    images: int
    logits: QuantizationError
    blocks: list[BlockQuantization]
    tensors: list[QuantizedTensor]


class Drop(_Entry):
    """A figure of an engine and of FP32 on the same images. low, high: 95 % interval of fp32 - engine."""

    engine: float
    fp32: float
    low: float
    high: float


class GateResult(_Entry):
    """An engine's figures on held-out images beside the FP32 model's, and whether they were good enough.

    patients: how many; None where the names do not say, and intervals then run over images. agreement_interval: 95 %.
    drops: by figure. reasons: in words, why it did not pass; unsure: what is past its limit, perhaps by chance.
    allowed_by: the account that said --allow-drop.
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
    """A block tried in floating point. error: mean logit error then, relative to FP32's mean logit; before: without.

    added_ms: what it costs, in ms an image.
    """

    block: str
    before: float
    error: float
    added_ms: float
    kept: bool


class FloatBlocks(_Entry):
    """Which blocks of INT8 stay in floating point. asked: what --float-blocks said. why: in words. trials: in order."""

    asked: str
    blocks: list[str]
    why: str
    trials: list[FloatBlockTrial] = Field(default_factory=list)


class Candidate(_Entry):
    """A precision that was built. ms: median of an image at batch 1, if it was timed. dropped: why it was, in words."""

    precision: Precision
    ms: float | None = None
    dropped: str | None = None


class Choice(_Entry):
    """The precision that a runtime takes when none is asked for. device: what it was timed on."""

    precision: Precision
    device: str
    why: str
    candidates: list[Candidate]


class EngineEntry(_Entry):
    """An engine file. device: what it was built for. batch: smallest, best and largest batch it takes.

    float_blocks: blocks of INT8 that it computes in floating point.
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
    """manifest.json. chosen: by runtime. refused: why the gate refused this bundle; it lies aside then.

    cam: whether its models and engines also give class activation maps.
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
