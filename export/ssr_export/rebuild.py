"""Bundle -> the same bundle with engines for this machine: the part of the export stage that a device runs.

Nothing here needs PyTorch, which a device need not have. The gate, and the search for float_blocks, need ONNX Runtime.
"""

from __future__ import annotations

from pathlib import Path

from ssr_edge.bundle.bundle import Bundle, refused_place, write_manifest, writing_bundle
from ssr_edge.bundle.manifest import Manifest
from ssr_edge.common.errors import GateRefused
from ssr_edge.common.progress import Log
from ssr_export.engines.bundle_builder import BundleBuilder
from ssr_export.image_sets import image_files
from ssr_export.plan import BundlePlan
from ssr_export.supported import supported
from ssr_train.models.arch import arch_from_dict


def rebuild(plan: BundlePlan, log: Log) -> Bundle:
    """Copies the bundle at `plan.source`, with the engines asked for, to `plan.bundle`, in one step.

    Raises:
        SsrEdgeError: as `ssr_export.make_bundle.make_bundle`.
    """
    bundle = Bundle.open(plan.source)
    for file in bundle.manifest.files:
        bundle.file(file.path)
    held_out = image_files(plan.held_out) if plan.held_out else []
    with writing_bundle(plan.bundle, copy_of=plan.source) as folder:
        # A bundle has no calibration images any more: islands are looked for on what there is.
        screen_images = image_files(plan.images) if plan.images else held_out
        add_engines(folder, bundle.manifest, plan, held_out, screen_images, log)
    return Bundle.open(plan.bundle)


def add_engines(
    folder: Path, manifest: Manifest, plan: BundlePlan, held_out: list[Path], screen_images: list[Path], log: Log
) -> None:
    """Builds and judges `plan.engines` in the bundle being written in `folder`; one that is refused is kept aside.

    Raises:
        GateRefused, UsageError, BuildError: as `BundleBuilder.add_engines`.
    """
    manifest.refused = None
    requests = supported(plan.engines, arch_from_dict(manifest.arch))
    builder = BundleBuilder(folder, manifest, held_out, screen_images, plan.float_blocks, plan.allow_drop, log)
    try:
        builder.add_engines(requests)
    except GateRefused as error:
        manifest.refused = error.found
        write_manifest(folder, manifest)
        place = refused_place(plan.bundle)
        raise GateRefused(
            f"{error.found}; kept aside as {place}", expected=error.expected, next_step=error.next_step
        ) from None
