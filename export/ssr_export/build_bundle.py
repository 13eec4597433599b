"""Checkpoint or bundle -> bundle with engines: the export stage from top to bottom.

PyTorch is imported for a checkpoint only: devices rebuild bundles without it. The gate and the search for float blocks
need ONNX Runtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssr_edge.bundle.bundle import Bundle, refused_place, write_manifest, writing_bundle
from ssr_edge.bundle.manifest import Manifest
from ssr_edge.common.errors import GateRefused
from ssr_edge.common.progress import Log
from ssr_export.engines.bundle_builder import BundleBuilder
from ssr_export.image_sets import ImageSets, image_files
from ssr_export.plan import BundlePlan, supported_requests
from ssr_train.models.arch import Arch, arch_from_dict

if TYPE_CHECKING:
    from ssr_export.models import CheckpointSource


def build_bundle(plan: BundlePlan, log: Log) -> Bundle:
    """Builds the bundle that `plan` describes and puts it in place in one step.

    On an error, whatever was at `plan.bundle` is unchanged; a bundle that the gate refuses is kept next to it.

    Raises:
        SsrEdgeError: see `ssr_edge.common.errors`; GateRefused if an engine lost too much accuracy.
    """
    source = _open_source(plan)
    requests = supported_requests(plan.engines, source.arch)
    with writing_bundle(plan.bundle, copy_of=source.copy_of) as folder:
        manifest = source.write_models(folder, plan, log)
        try:
            BundleBuilder(folder, manifest, plan, source.images, log).add_engines(requests)
        except GateRefused as error:
            manifest.refused = error.found
            write_manifest(folder, manifest)
            found = f"{error.found}; kept as {refused_place(plan.bundle)}"
            raise GateRefused(found, expected=error.expected, next_step=error.next_step) from None
    return Bundle.open(plan.bundle)


def _open_source(plan: BundlePlan) -> BundleSource | CheckpointSource:
    if plan.source.is_dir():
        return BundleSource.open(plan)
    from ssr_export.models import CheckpointSource  # imports PyTorch

    return CheckpointSource.open(plan)


@dataclass(frozen=True)
class BundleSource:
    """An existing bundle, whose models are kept unchanged. copy_of: its folder."""

    copy_of: Path
    manifest: Manifest
    images: ImageSets

    @staticmethod
    def open(plan: BundlePlan) -> BundleSource:
        """Opens the bundle at `plan.source` and checks the hash of each of its files.

        Raises:
            BundleError: there is no bundle, or a file has changed. DataError: a folder holds no images.
        """
        bundle = Bundle.open(plan.source)
        for file in bundle.manifest.files:
            bundle.file(file.path)
        held_out = image_files(plan.held_out) if plan.held_out else []
        # A bundle holds no calibration images, so float blocks are searched for on whatever images are given.
        calibration = image_files(plan.images) if plan.images else held_out
        return BundleSource(plan.source, bundle.manifest, ImageSets(calibration, held_out))

    @property
    def arch(self) -> Arch:
        """The architecture of the bundle's models."""
        return arch_from_dict(self.manifest.arch)

    def write_models(self, folder: Path, plan: BundlePlan, log: Log) -> Manifest:
        """Returns the manifest to add engines to; `folder` already holds a copy of the bundle."""
        self.manifest.refused = None
        return self.manifest
