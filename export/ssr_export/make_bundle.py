"""Checkpoint -> bundle, or bundle -> the same bundle with more engines; the export stage from top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ssr_edge.bundle import Bundle, write_manifest, writing_bundle
from ssr_edge.errors import RuntimeUnavailable
from ssr_edge.gpu import find_gpu
from ssr_edge.manifest import EngineEntry, Manifest
from ssr_export.build import EngineRequest, build_engine
from ssr_export.calibrate import read_calibration
from ssr_export.gate import describe, gate
from ssr_export.image_sets import find_image_sets, image_files
from ssr_export.models import CALIBRATION, write_models
from ssr_export.ranges import Method
from ssr_export.remedies import Remedies
from ssr_train.checkpoint import load_checkpoint

Say = Callable[[str], None]


@dataclass(frozen=True)
class BundlePlan:
    """What to build. source: a checkpoint file or a bundle's folder. bundle: where the result goes.

    engines: empty writes the models alone. images, held_out: folders that stand in for the checkpoint's own images.
    allow_drop: ship an engine that the gate would refuse. remedies: for a checkpoint; a bundle's models stay as they
    are.
    """

    source: Path
    bundle: Path
    engines: tuple[EngineRequest, ...]
    method: Method
    images: Path | None = None
    held_out: Path | None = None
    allow_drop: bool = False
    remedies: Remedies = field(default_factory=Remedies)


def make_bundle(plan: BundlePlan, say: Say) -> Bundle:
    """Writes the bundle in one step: on any error whatever stood at `plan.bundle` stays as it was.

    Raises:
        SsrEdgeError: see `ssr_edge.errors`; GateRefused when an engine lost too much.
    """
    if plan.source.is_dir():
        return _rebuild(plan, say)
    network, card = load_checkpoint(plan.source)
    images = find_image_sets(plan.source, card, plan.images)
    held_out = image_files(plan.held_out) if plan.held_out else images.held_out
    cache = read_calibration(plan.bundle / CALIBRATION)
    with writing_bundle(plan.bundle) as folder:
        manifest = write_models(folder, plan.source, network, card, images, plan.method, plan.remedies, cache, say)
        _add_engines(folder, manifest, plan, held_out, say)
        write_manifest(folder, manifest)
    return Bundle.open(plan.bundle)


def _rebuild(plan: BundlePlan, say: Say) -> Bundle:
    bundle = Bundle.open(plan.source)
    for file in bundle.manifest.files:
        bundle.file(file.path)
    held_out = image_files(plan.held_out) if plan.held_out else []
    with writing_bundle(plan.bundle, copy_of=plan.source) as folder:
        _add_engines(folder, bundle.manifest, plan, held_out, say)
        write_manifest(folder, bundle.manifest)
    return Bundle.open(plan.bundle)


def _add_engines(folder: Path, manifest: Manifest, plan: BundlePlan, held_out: list[Path], say: Say) -> None:
    for request in plan.engines:
        engine = build_engine(folder, request, say)
        same = [e for e in manifest.engines if e.file == engine.file]
        manifest.engines = [e for e in manifest.engines if e not in same] + [engine]
        size = (folder / engine.file).stat().st_size / 1e6
        what = f"{engine.runtime} {engine.precision} for {engine.device}"
        say(f"built {what}: {size:.1f} MB in {engine.build_seconds:.1f} s")
        # The gate opens the bundle as a user would, so what was just built must be in the manifest.
        write_manifest(folder, manifest)
        _gate(Bundle(folder, manifest), engine, held_out, plan, say)


def _gate(bundle: Bundle, engine: EngineEntry, held_out: list[Path], plan: BundlePlan, say: Say) -> None:
    if not held_out:
        say("  not gated: no held-out images (--held-out FOLDER)")
        return
    if engine.runtime != "openvino" and find_gpu() is None:
        say("  not gated: this machine has no GPU to run it on")
        return
    try:
        engine.gate = gate(bundle, engine, held_out, plan.allow_drop)
    except RuntimeUnavailable as error:
        say(f"  not gated: {error.found}")
        return
    verdict = "passed" if engine.gate.passed else "let through by --allow-drop"
    say(f"  gate {verdict}: {describe(engine.gate)}")
