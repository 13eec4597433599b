"""Checkpoint -> bundle, or bundle -> the same bundle with more engines; the export stage from top to bottom."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ssr_edge.bundle.bundle import CALIBRATION, Bundle, writing_bundle
from ssr_edge.common.errors import UsageError
from ssr_edge.common.progress import Log
from ssr_export.image_sets import find_image_sets, image_files
from ssr_export.int8.calibrate import read_calibration
from ssr_export.models import write_models
from ssr_export.plan import BundlePlan
from ssr_export.rebuild import add_engines, rebuild
from ssr_export.supported import has_int8, supported
from ssr_train.training.checkpoint import load_checkpoint

__all__ = ["BundlePlan", "make_bundle"]


def make_bundle(plan: BundlePlan, log: Log) -> Bundle:
    """Writes the bundle in one step: on any error whatever stood at `plan.bundle` stays as it was.

    Raises:
        SsrEdgeError: see `ssr_edge.common.errors`; GateRefused when an engine lost too much; the bundle is kept aside.
    """
    if plan.source.is_dir():
        return rebuild(plan, log)
    network, card = load_checkpoint(plan.source)
    supported(plan.engines, network.arch)  # asked before anything is computed
    images = find_image_sets(plan.source, card, plan.images)
    held_out = image_files(plan.held_out) if plan.held_out else images.held_out
    if plan.cache is not None:
        _check_cache(plan.cache)
    with writing_bundle(plan.bundle) as folder:
        cache = plan.cache or folder / CALIBRATION
        if has_int8(network.arch) and plan.cache is None and (plan.bundle / CALIBRATION).is_file():
            shutil.copyfile(plan.bundle / CALIBRATION, cache)
        manifest = write_models(
            folder, plan.source, network, card, images, plan.method, plan.corrections, cache, plan.cam, log
        )
        add_engines(folder, manifest, plan, held_out, images.calibration, log)
    return Bundle.open(plan.bundle)


def _check_cache(path: Path) -> None:
    """Asked before anything is computed: the cache is written after a calibration of seconds or minutes."""
    if path.exists() and read_calibration(path) is None:
        found = f"{path} is no range cache, and is not written over"
    elif not os.access(path.parent, os.W_OK):
        found = f"{path} can't be written"
    else:
        return
    raise UsageError(
        found,
        expected="a file that --calibration-cache made, or a new name in a folder that you may write to",
        next_step="ssr-edge build-engine --calibration-cache ranges.json",
    )
