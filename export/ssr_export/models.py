"""Checkpoint -> the ONNX files of a bundle, each step proven on real images before the next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import onnx
from torch import Tensor

from ssr_edge.bundle.bundle import CALIBRATION, model_file
from ssr_edge.bundle.int8_report import worst_first
from ssr_edge.bundle.manifest import CalibrationEntry, Manifest, Provenance, QuantizationReport
from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import sha256_of
from ssr_edge.common.progress import Log
from ssr_export.corrections import Int8Corrections
from ssr_export.folding.equalize import equalize
from ssr_export.folding.fold_check import fold_with_check
from ssr_export.image_sets import ImageSets, first_readable
from ssr_export.int8.activations import readable_batches
from ssr_export.int8.calibrate import Calibration, calibrate
from ssr_export.int8.quantize import quantize
from ssr_export.int8.ranges import Method
from ssr_export.onnx.half import to_half
from ssr_export.onnx.to_onnx import check_onnx, export_onnx
from ssr_export.report.block_error import measure_quantization
from ssr_export.supported import has_int8
from ssr_train.data.dataset import normalize, to_rgb
from ssr_train.models.complexity import multiply_adds, parameter_count
from ssr_train.models.network import Network, SSResNeXt
from ssr_train.training.checkpoint import CheckpointCard

_PROOF_IMAGES = 8
_ERROR_IMAGES = 16


def write_models(
    folder: Path,
    checkpoint: Path,
    network: Network,
    card: CheckpointCard,
    images: ImageSets,
    method: Method,
    corrections: Int8Corrections,
    cache: Path,
    cam: bool,
    log: Log,
) -> Manifest:
    """Writes model.fp32.onnx, model.fp16.onnx, model.int8.onnx, calibration.json and histograms.json into `folder`.

    Of an architecture without INT8 only the first two. cache: file of an earlier calibration, used if it fits and
    replaced if not. cam: with activation maps as a third output. Returns the manifest so far, without engines.

    Raises:
        ExportError: a fold, a parity check or a calibration is outside its limit.
        UsageError: --equalize of an architecture that it does not know.
    """
    if corrections.equalize and not isinstance(network, SSResNeXt):
        raise UsageError(
            f"--equalize knows no channels of {card.arch['name']}",
            expected="a checkpoint of SSResNeXt or of one of its ablations",
            next_step="ssr-edge build-engine  (without --equalize)",
        )
    proof = first_readable(images.calibration, _PROOF_IMAGES)
    folded, fold_check = fold_with_check(network, normalize(to_rgb(proof)))
    if fold_check.blocks:
        log(
            f"folded: logits differ by {fold_check.fp32:.1e} (FP32) and {fold_check.fp64:.1e} (FP64) of the largest "
            f"on {fold_check.images} images"
        )
    fp32 = folder / model_file("fp32")
    if corrections.equalize:
        folded = equalize(folded, normalized_batches(images.calibration))
        log("equalized: channels that share an INT8 step were brought to like ranges")
    export_onnx(folded, fp32, cam)
    parity = check_onnx(fp32, folded, proof)
    log(f"ONNX: logits differ from PyTorch by {parity.relative_error:.1e} of the largest")
    onnx.save(to_half(onnx.load(fp32)), folder / model_file("fp16"))
    manifest = Manifest(
        name=card.arch["name"],
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        arch=card.arch,
        classes=card.classes,
        magnification=card.magnification,
        provenance=Provenance(
            checkpoint=str(checkpoint.resolve()),
            checkpoint_sha256=sha256_of(checkpoint),
            data=card.data,
            data_fingerprint=card.to_split().sha256,
            tools=card.tools | {"onnx": onnx.__version__},
            fine_tuned_from=card.fine_tuned_from,
        ),
        parameters=parameter_count(network),
        multiply_adds=multiply_adds(folded),
        fold=fold_check,
        onnx_parity=parity,
        metrics=card.metrics,
        cam=cam,
    )
    if has_int8(network.arch):
        _write_int8(folder, manifest, images, method, corrections, cache, log)
    else:
        log(f"no INT8: it is not supported for {card.arch['name']}")
    return manifest


def _write_int8(
    folder: Path,
    manifest: Manifest,
    images: ImageSets,
    method: Method,
    corrections: Int8Corrections,
    cache: Path,
    log: Log,
) -> None:
    """Calibrates and quantizes the FP32 model in `folder`, and puts what was found into the manifest."""
    fp32 = folder / model_file("fp32")
    calibration = calibrate(fp32, images.calibration, method, cache, corrections.correct_bias)
    calibration.write(folder / CALIBRATION)
    biases = ", biases corrected" if corrections.correct_bias else ""
    log(f"calibrated {len(calibration.ranges)} activations on {len(calibration.images)} images ({method}{biases})")
    model = onnx.load(fp32)
    int8 = quantize(model, calibration.ranges, bias_errors=calibration.bias_errors)
    onnx.save(int8, folder / model_file("int8"))
    manifest.quantization = _measured(folder, model, calibration, images, log)
    manifest.calibration = CalibrationEntry(
        method=method,
        images=calibration.images,
        ranges_sha256=calibration.sha256,
        equalized=corrections.equalize,
        bias_corrected=corrections.correct_bias,
    )


def _measured(
    folder: Path, model: onnx.ModelProto, calibration: Calibration, images: ImageSets, log: Log
) -> QuantizationReport:
    """INT8's error by block; its histograms go into `folder`."""
    few = first_readable(images.calibration, _ERROR_IMAGES)
    report, histograms = measure_quantization(model, calibration.ranges, few, calibration.bias_errors)
    histograms.write(folder)
    worst = worst_first(report)[0]
    log(
        f"INT8: logits at {report.logits.both.sqnr_db:.1f} dB signal to noise, the worst block {worst.block} at "
        f"{worst.both.sqnr_db:.1f} dB"
    )
    return report


def normalized_batches(paths: list[Path]) -> Iterator[Tensor]:
    """Image files as the network takes them: float32 RGB [n, 3, 224, 224], n <= 8; an unreadable one is passed over."""
    return (normalize(to_rgb(batch)) for _, batch in readable_batches(paths, _PROOF_IMAGES))
