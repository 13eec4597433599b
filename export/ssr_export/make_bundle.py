"""Checkpoint -> bundle, or bundle -> the same bundle with more engines; the export stage from top to bottom."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ssr_edge.bundle import CALIBRATION, Bundle, refused_place, write_manifest, writing_bundle
from ssr_edge.errors import GateRefused, UsageError
from ssr_edge.manifest import Manifest
from ssr_export.build import EngineRequest
from ssr_export.calibrate import read_calibration
from ssr_export.engines import Workshop
from ssr_export.image_sets import find_image_sets, image_files
from ssr_export.models import write_models
from ssr_export.ranges import Method
from ssr_export.remedies import Remedies
from ssr_export.supported import has_int8, supported
from ssr_train.arch import arch_from_dict
from ssr_train.checkpoint import load_checkpoint

Say = Callable[[str], None]


@dataclass(frozen=True)
class BundlePlan:
    """What to build. source: a checkpoint file or a bundle's folder. bundle: where the result goes.

    engines: empty writes the models alone. images, held_out: folders that stand in for the checkpoint's own images.
    allow_drop: ship an engine that the gate would refuse. islands: `auto`, `none` or block names with commas.
    cache: file of ranges to use where they fit and to keep those found in; the bundle's own when left out.
    remedies, cam (activation maps as a third output): for a checkpoint; a bundle's models stay as they are.
    """

    source: Path
    bundle: Path
    engines: tuple[EngineRequest, ...]
    method: Method
    images: Path | None = None
    held_out: Path | None = None
    allow_drop: bool = False
    islands: str = "auto"
    cache: Path | None = None
    remedies: Remedies = field(default_factory=Remedies)
    cam: bool = False


def make_bundle(plan: BundlePlan, say: Say) -> Bundle:
    """Writes the bundle in one step: on any error whatever stood at `plan.bundle` stays as it was.

    Raises:
        SsrEdgeError: see `ssr_edge.errors`; GateRefused when an engine lost too much, and the bundle is kept aside.
    """
    if plan.source.is_dir():
        return _rebuild(plan, say)
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
            folder, plan.source, network, card, images, plan.method, plan.remedies, cache, plan.cam, say
        )
        _add_engines(folder, manifest, plan, held_out, images.calibration, say)
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


def _rebuild(plan: BundlePlan, say: Say) -> Bundle:
    bundle = Bundle.open(plan.source)
    for file in bundle.manifest.files:
        bundle.file(file.path)
    held_out = image_files(plan.held_out) if plan.held_out else []
    with writing_bundle(plan.bundle, copy_of=plan.source) as folder:
        # A bundle has no calibration images any more: islands are looked for on what there is.
        screen_images = image_files(plan.images) if plan.images else held_out
        _add_engines(folder, bundle.manifest, plan, held_out, screen_images, say)
    return Bundle.open(plan.bundle)


def _add_engines(
    folder: Path, manifest: Manifest, plan: BundlePlan, held_out: list[Path], screen_images: list[Path], say: Say
) -> None:
    manifest.refused = None
    requests = supported(plan.engines, arch_from_dict(manifest.arch))
    workshop = Workshop(folder, manifest, held_out, screen_images, plan.islands, plan.allow_drop, say)
    try:
        workshop.add_engines(requests)
    except GateRefused as error:
        manifest.refused = error.found
        write_manifest(folder, manifest)
        place = refused_place(plan.bundle)
        raise GateRefused(
            f"{error.found}; kept aside as {place}", expected=error.expected, next_step=error.next_step
        ) from None
