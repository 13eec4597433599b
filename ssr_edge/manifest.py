"""The schema of a bundle's manifest.json: what was shipped, where it came from, what was proven and measured."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ssr_edge.preprocess import IMAGE_SIZE, MEAN_BGR, STD_BGR

SCHEMA_VERSION = 1
Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FileEntry(_Entry):
    """A file of the bundle. path: relative to it. size: bytes."""

    path: str
    sha256: str
    size: int


class Preprocessing(_Entry):
    """How pixels become the network's input; decode and resize before the engine, the rest inside it."""

    resize: Literal["area"] = "area"
    size: int = IMAGE_SIZE
    colour_order: Literal["BGR"] = "BGR"
    mean: tuple[float, float, float] = MEAN_BGR
    deviation: tuple[float, float, float] = STD_BGR


class Provenance(_Entry):
    """Where the weights came from. checkpoint: its path then; data_fingerprint: SHA-256 of the names by part."""

    checkpoint: str
    checkpoint_sha256: str
    data: str
    data_fingerprint: str
    tools: dict[str, str]


class BlockError(_Entry):
    """Largest difference a block's fold makes on its true input, relative to the block's largest output."""

    block: str
    fp32: float
    fp64: float


class FoldCertificate(_Entry):
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

    equalised, bias_corrected: the remedies applied; False in bundles older than they are.
    """

    method: str
    images: list[str]
    ranges_sha256: str
    equalised: bool = False
    bias_corrected: bool = False


class GateResult(_Entry):
    """An engine's figures on held-out images beside the FP32 model's, and whether they were good enough."""

    images: int
    labelled: bool
    agreement: float
    macro_f1: float | None
    macro_f1_fp32: float | None
    max_probability_difference: float
    passed: bool
    allowed_drop: bool = False


class EngineEntry(_Entry):
    """An engine file. device: what it was built for. batch: smallest, best and largest batch it takes."""

    file: str
    runtime: str
    version: str
    device: str
    precision: Precision
    model: str
    batch: tuple[int, int, int]
    build_seconds: float
    options: dict[str, str] = Field(default_factory=dict)
    gate: GateResult | None = None


class Manifest(_Entry):
    """manifest.json."""

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
    fold: FoldCertificate
    onnx_parity: OnnxParity
    calibration: CalibrationEntry | None = None
    metrics: dict[str, dict[str, Any]] = Field(default_factory=dict)
    engines: list[EngineEntry] = Field(default_factory=list)
    files: list[FileEntry] = Field(default_factory=list)
