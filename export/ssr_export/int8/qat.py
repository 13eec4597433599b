"""Quantization-aware fine-tuning: checkpoint -> folded network with simulated INT8, for the training loop.

    ssr-edge train --qat CHECKPOINT

Ranges come from the calibration of the export stage, on the checkpoint's training images, and are not trained.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from ssr_edge.common.errors import CheckpointError, DataError
from ssr_edge.common.files import sha256_of
from ssr_edge.common.progress import Log
from ssr_export.folding.fold_check import fold_with_check
from ssr_export.image_sets import first_readable, image_sets_of_split
from ssr_export.int8.calibrate import calibrate
from ssr_export.int8.fake_quantize import ConvRanges, ranges_by_conv, with_fake_quantizers, without_fake_quantizers
from ssr_export.onnx.to_onnx import export_onnx
from ssr_train.data.dataset import normalize, to_rgb
from ssr_train.models.network import Network
from ssr_train.training.checkpoint import load_checkpoint
from ssr_train.training.loop import Source, Start

_CHECK_IMAGES = 8


def qat_start(source: Source, data: Path, log: Log) -> Start:
    """Folds and calibrates a checkpoint for `ssr_train.training.loop.train`. data: the data set it was trained on.

    Raises:
        CheckpointError: the checkpoint can't be used, or has changed since the run was started.
        DataError: `data` contains none of its training images.
        ExportError: the fold check or the calibration exceeds its limit.
    """
    network, card = load_checkpoint(source.checkpoint)
    if sha256_of(source.checkpoint) != source.sha256:
        raise CheckpointError(
            f"{source.checkpoint} has changed since its fine-tuning was started",
            expected=f"the file with SHA-256 {source.sha256}",
            next_step=f"ssr-edge train --qat {source.checkpoint}  (a new run)",
        )
    images = image_sets_of_split(data, card).calibration
    if not images:
        raise DataError(
            f"{data} contains none of the images that {source.checkpoint} was trained on",
            expected="the data set that it was trained on",
            next_step=f"ssr-edge train --qat {source.checkpoint} --data FOLDER",
        )
    folded, _ = fold_with_check(network, normalize(to_rgb(first_readable(images, _CHECK_IMAGES))))
    ranges = _calibrated(folded, images)
    log(f"folded and calibrated on {len(images)} training images")
    return Start(with_fake_quantizers(folded, ranges), card.to_split(), without_fake_quantizers)


def _calibrated(folded: Network, images: list[Path]) -> ConvRanges:
    with TemporaryDirectory(prefix="ssr-edge-qat-") as scratch:
        fp32 = Path(scratch) / "fp32.onnx"
        export_onnx(folded, fp32)
        return ranges_by_conv(onnx.load(fp32), calibrate(fp32, images, "mse").ranges)
