"""The text of `ssr-edge inspect`: a bundle's contents, provenance and measurements."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.int8_report import worst_first
from ssr_edge.bundle.manifest import CalibrationEntry, GateResult, Manifest
from ssr_edge.common.console import open_console

_Row = tuple[str, str]


def describe(bundle: Bundle) -> None:
    """Verifies every file of a bundle, then prints its summary.

    Raises:
        BundleError: a file is missing or was changed.
    """
    for file in bundle.manifest.files:
        bundle.file(file.path)
    facts = Table.grid(padding=(0, 2))
    for heading, text in _rows(bundle):
        facts.add_row(heading, text)
    console = open_console()
    console.print(facts)
    console.print("Decision support for research, not a medical device.")


def _rows(bundle: Bundle) -> Iterator[_Row]:
    manifest = bundle.manifest
    yield "bundle", f"{bundle.path}, written {manifest.created}, {len(manifest.files)} files, all hashes match"
    yield from _network(manifest)
    yield from _checks(manifest)
    yield from _int8(manifest)
    yield from _engines(manifest)
    if manifest.refused is not None:
        yield "refused", f"{manifest.refused}; do not rely on this bundle"
    if not manifest.engines:
        yield "engines", f"none: ssr-edge build-engine {bundle.path}"


def _network(manifest: Manifest) -> Iterator[_Row]:
    yield (
        "network",
        f"{manifest.arch['name']}: {manifest.parameters / 1e6:.2f} M parameters, "
        f"{manifest.multiply_adds / 1e9:.2f} G multiply-adds folded",
    )
    magnification = f"{manifest.magnification}X" if manifest.magnification else "any magnification"
    yield "classes", f"{' '.join(manifest.classes)} at {magnification}"
    yield "input", "uint8 [N, 224, 224, 3], BGR, area-resized; normalized inside"
    origin = manifest.provenance
    yield "weights", f"{origin.checkpoint} ({origin.checkpoint_sha256[:12]})"
    if origin.fine_tuned_from is not None:
        yield "  fine-tuned", f"with quantization, from {origin.fine_tuned_from[:12]}"
    yield "trained on", f"{origin.data} (split {origin.data_fingerprint[:12]})"
    for part, figures in manifest.metrics.items():
        accuracy = f"macro-F1 {figures['macro_f1']:.3f}, accuracy {figures['accuracy']:.3f}"
        yield f"  {part}", f"{accuracy}, {figures['images']} images"


def _checks(manifest: Manifest) -> Iterator[_Row]:
    fold = manifest.fold
    yield "fold", f"logits within {fold.fp32:.1e} (FP32) and {fold.fp64:.1e} (FP64), relative, on {fold.images} images"
    yield "ONNX", f"logits within {manifest.onnx_parity.relative_error:.1e} of PyTorch"


def _int8(manifest: Manifest) -> Iterator[_Row]:
    if manifest.calibration is not None:
        yield "INT8 ranges", _ranges(manifest.calibration)
    if manifest.quantization is not None:
        worst = worst_first(manifest.quantization)[0]
        yield (
            "error by block",
            f"logits {manifest.quantization.logits.both.sqnr_db:.1f} dB signal to noise; worst block {worst.block}, "
            f"{worst.both.sqnr_db:.1f} dB (more: --quantization)",
        )
    if manifest.float_blocks is not None and manifest.float_blocks.blocks:
        yield "float blocks", f"{', '.join(manifest.float_blocks.blocks)}: {manifest.float_blocks.why}"


def _ranges(calibration: CalibrationEntry) -> str:
    corrections = [
        text
        for text, applied in (("equalized", calibration.equalized), ("biases corrected", calibration.bias_corrected))
        if applied
    ]
    return ", ".join([f"{calibration.method}, from {len(calibration.images)} images", *corrections])


def _engines(manifest: Manifest) -> Iterator[_Row]:
    sizes = {file.path: file.size for file in manifest.files}
    for engine in manifest.engines:
        batches = f"batch {engine.batch[0]} to {engine.batch[2]}"
        yield "engine", f"{engine.runtime} {engine.version} {engine.precision} for {engine.device}, {batches}"
        yield "", f"{engine.file}, {sizes[engine.file] / 1e6:.1f} MB, gate {_verdict(engine.gate)}"
    for runtime, choice in manifest.chosen.items():
        yield "chosen", f"{runtime} {choice.precision} on {choice.device}: {choice.why}"
        for candidate in choice.candidates:
            if candidate.dropped is not None:
                yield "", f"{candidate.precision} rejected: {candidate.dropped}"


def _verdict(gate: GateResult | None) -> str:
    if gate is None:
        return "not run"
    verdict = "passed" if gate.passed else "failed"
    if gate.allowed_drop:
        verdict += ", allowed by --allow-drop" + (f" ({gate.allowed_by})" if gate.allowed_by else "")
    f1 = "" if gate.macro_f1 is None else f", macro-F1 {gate.macro_f1:.3f} (FP32 {gate.macro_f1_fp32:.3f})"
    return f"{verdict}: {gate.agreement:.1%} of {gate.images} labels agree{f1}"
