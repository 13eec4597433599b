"""Checkpoint -> the ONNX models of a bundle; each step is verified on real images before the next one starts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import ClassVar

import onnx
from torch import Tensor

from ssr_edge.bundle.bundle import CALIBRATION, model_file
from ssr_edge.bundle.int8_report import worst_first
from ssr_edge.bundle.manifest import CalibrationEntry, FoldCheck, Manifest, OnnxParity, Provenance
from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import sha256_of
from ssr_edge.common.progress import Log
from ssr_edge.images.preprocess import Image
from ssr_export.folding.equalize import equalize
from ssr_export.folding.fold_check import fold_with_check
from ssr_export.image_sets import ImageSets, find_image_sets, first_readable, image_files
from ssr_export.int8.activations import readable_batches
from ssr_export.int8.calibrate import Calibration, calibrate, read_calibration
from ssr_export.int8.quantize import quantize
from ssr_export.onnx.half import to_half
from ssr_export.onnx.to_onnx import check_onnx, export_onnx
from ssr_export.plan import BundlePlan, has_int8
from ssr_export.report.block_error import measure_quantization
from ssr_train.data.dataset import normalize, to_rgb
from ssr_train.models.arch import Arch
from ssr_train.models.complexity import multiply_adds, parameter_count
from ssr_train.models.network import Network, SSResNeXt
from ssr_train.training.checkpoint import CheckpointCard, load_checkpoint

_CHECK_IMAGES = 8
_ERROR_IMAGES = 16


@dataclass(frozen=True)
class CheckpointSource:
    """A trained network, its card, and the images to calibrate and gate it with."""

    copy_of: ClassVar[None] = None  # the new bundle starts empty

    network: Network
    card: CheckpointCard
    images: ImageSets

    @staticmethod
    def open(plan: BundlePlan) -> CheckpointSource:
        """Loads the checkpoint at `plan.source` and checks the rest of the plan before anything slow starts.

        Raises:
            CheckpointError: the checkpoint can't be loaded. DataError: there are no images.
            UsageError: --equalize for an unsupported architecture, or an unusable --calibration-cache.
        """
        network, card = load_checkpoint(plan.source)
        if plan.corrections.equalize and not isinstance(network, SSResNeXt):
            raise UsageError(
                f"--equalize does not support {card.arch['name']}",
                expected="a checkpoint of SSResNeXt or of one of its ablations",
                next_step="ssr-edge build-engine  (without --equalize)",
            )
        if plan.cache is not None:
            _check_cache(plan.cache)
        images = find_image_sets(plan.source, card, plan.images)
        if plan.held_out:
            images = replace(images, held_out=image_files(plan.held_out))
        return CheckpointSource(network, card, images)

    @property
    def arch(self) -> Arch:
        """The network's architecture."""
        return self.network.arch

    def write_models(self, folder: Path, plan: BundlePlan, log: Log) -> Manifest:
        """Writes model.{fp32,fp16,int8}.onnx, calibration.json and histograms.json; without INT8 only the first two.

        Returns the manifest so far, without engines.

        Raises:
            ExportError: a fold check, a parity check or a calibration exceeds its limit.
        """
        pixels = first_readable(self.images.calibration, _CHECK_IMAGES)
        folded, fold_check = _fold(self.network, pixels, self.images, plan, log)
        parity = _write_onnx(folder, folded, pixels, plan, log)
        manifest = Manifest(
            name=self.card.arch["name"],
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            arch=self.card.arch,
            classes=self.card.classes,
            magnification=self.card.magnification,
            provenance=_provenance(plan.source, self.card),
            parameters=parameter_count(self.network),
            multiply_adds=multiply_adds(folded),
            fold=fold_check,
            onnx_parity=parity,
            metrics=self.card.metrics,
            cam=plan.cam,
        )
        if has_int8(self.arch):
            _write_int8(folder, manifest, self.images, plan, log)
        else:
            log(f"no INT8 model: not supported for {self.arch.name}")
        return manifest


def normalized_batches(paths: list[Path]) -> Iterator[Tensor]:
    """Image files as network input: float32 normalized RGB [n, 3, 224, 224], n <= 8; skips unreadable files."""
    return (normalize(to_rgb(batch)) for _, batch in readable_batches(paths, _CHECK_IMAGES))


def _check_cache(path: Path) -> None:
    """Fails early: the cache is written only after a calibration of seconds or minutes."""
    if path.exists() and read_calibration(path) is None:
        found = f"{path} is not a range cache and would be overwritten"
    elif not os.access(path.parent, os.W_OK):
        found = f"{path} can't be written"
    else:
        return
    raise UsageError(
        found,
        expected="a file written by --calibration-cache, or a new file in a writable folder",
        next_step="ssr-edge build-engine --calibration-cache ranges.json",
    )


def _fold(network: Network, pixels: Image, images: ImageSets, plan: BundlePlan, log: Log) -> tuple[Network, FoldCheck]:
    """The folded and, if requested, equalized network. pixels: uint8 BGR [n, 224, 224, 3]."""
    folded, check = fold_with_check(network, normalize(to_rgb(pixels)))
    if check.blocks:
        log(
            f"folded: logits differ by {check.fp32:.1e} (FP32) and {check.fp64:.1e} (FP64), relative to the largest, "
            f"on {check.images} images"
        )
    if plan.corrections.equalize:
        folded = equalize(folded, normalized_batches(images.calibration))
        log("equalized: scaled the channels that share an INT8 step to similar ranges")
    return folded, check


def _write_onnx(folder: Path, folded: Network, pixels: Image, plan: BundlePlan, log: Log) -> OnnxParity:
    """Writes the FP32 and FP16 models. pixels: uint8 BGR [n, 224, 224, 3]."""
    fp32 = folder / model_file("fp32")
    export_onnx(folded, fp32, plan.cam)
    parity = check_onnx(fp32, folded, pixels)
    log(f"ONNX: logits differ from PyTorch by {parity.relative_error:.1e}, relative to the largest")
    onnx.save(to_half(onnx.load(fp32)), folder / model_file("fp16"))
    return parity


def _provenance(checkpoint: Path, card: CheckpointCard) -> Provenance:
    return Provenance(
        checkpoint=str(checkpoint.resolve()),
        checkpoint_sha256=sha256_of(checkpoint),
        data=card.data,
        data_fingerprint=card.to_split().sha256,
        tools=card.tools | {"onnx": onnx.__version__},
        fine_tuned_from=card.fine_tuned_from,
    )


def _write_int8(folder: Path, manifest: Manifest, images: ImageSets, plan: BundlePlan, log: Log) -> None:
    """Calibrates and quantizes the FP32 model in `folder`; records ranges and error in the manifest."""
    calibration = _calibrate(folder, images, plan, log)
    model = onnx.load(folder / model_file("fp32"))
    int8 = quantize(model, calibration.ranges, bias_errors=calibration.bias_errors)
    onnx.save(int8, folder / model_file("int8"))
    manifest.calibration = CalibrationEntry(
        method=plan.method,
        images=calibration.images,
        ranges_sha256=calibration.sha256,
        equalized=plan.corrections.equalize,
        bias_corrected=plan.corrections.correct_bias,
    )
    few = first_readable(images.calibration, _ERROR_IMAGES)
    report, histograms = measure_quantization(model, calibration.ranges, few, calibration.bias_errors)
    histograms.write(folder)
    manifest.quantization = report
    worst = worst_first(report)[0]
    log(
        f"INT8: logits at {report.logits.both.sqnr_db:.1f} dB signal to noise, the worst block {worst.block} at "
        f"{worst.both.sqnr_db:.1f} dB"
    )


def _calibrate(folder: Path, images: ImageSets, plan: BundlePlan, log: Log) -> Calibration:
    cache = plan.cache or folder / CALIBRATION
    previous = plan.bundle / CALIBRATION
    if plan.cache is None and previous.is_file():
        shutil.copyfile(previous, cache)
    corrections, fp32 = plan.corrections, folder / model_file("fp32")
    calibration = calibrate(fp32, images.calibration, plan.method, cache, corrections.correct_bias)
    calibration.write(folder / CALIBRATION)
    biases = ", biases corrected" if corrections.correct_bias else ""
    log(f"calibrated {len(calibration.ranges)} activations on {len(calibration.images)} images ({plan.method}{biases})")
    return calibration
