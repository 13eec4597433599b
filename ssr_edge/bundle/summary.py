"""Says in words what a bundle is: for `inspect`."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.int8_report import worst_first
from ssr_edge.bundle.manifest import CalibrationEntry, GateResult

# rich would fold to 80 columns in a file or a pipe, in the middle of paths.
_PLAIN_WIDTH = 160


def describe(bundle: Bundle) -> None:
    """Prints a bundle, after every file in it was found to be what the manifest says.

    Raises:
        BundleError: a file is missing or was changed.
    """
    for file in bundle.manifest.files:
        bundle.file(file.path)
    manifest, console = bundle.manifest, Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    sizes = {file.path: file.size for file in manifest.files}
    facts = Table.grid(padding=(0, 2))
    facts.add_row("bundle", f"{bundle.path}, written {manifest.created}, {len(manifest.files)} files, all hashes right")
    facts.add_row(
        "network",
        f"{manifest.arch['name']}: {manifest.parameters / 1e6:.2f} M parameters, "
        f"{manifest.multiply_adds / 1e9:.2f} G multiply-adds folded",
    )
    magnification = f"{manifest.magnification}X" if manifest.magnification else "any magnification"
    facts.add_row("classes", f"{' '.join(manifest.classes)} at {magnification}")
    facts.add_row("input", "uint8 [N, 224, 224, 3], BGR, area-resized; normalized inside")
    facts.add_row("weights", f"{manifest.provenance.checkpoint} ({manifest.provenance.checkpoint_sha256[:12]})")
    if manifest.provenance.fine_tuned_from is not None:
        facts.add_row("  fine-tuned", f"with quantization, from {manifest.provenance.fine_tuned_from[:12]}")
    facts.add_row("trained on", f"{manifest.provenance.data} (split {manifest.provenance.data_fingerprint[:12]})")
    for part, figures in manifest.metrics.items():
        facts.add_row(
            f"  {part}",
            f"macro-F1 {figures['macro_f1']:.3f}, accuracy {figures['accuracy']:.3f}, {figures['images']} images",
        )
    fold = manifest.fold
    facts.add_row(
        "fold", f"logits within {fold.fp32:.1e} (FP32) and {fold.fp64:.1e} (FP64), relative, on {fold.images} images"
    )
    facts.add_row("ONNX", f"logits within {manifest.onnx_parity.relative_error:.1e} of PyTorch")
    if manifest.calibration is not None:
        facts.add_row("INT8 ranges", _ranges(manifest.calibration))
    if manifest.quantization is not None:
        worst = worst_first(manifest.quantization)[0]
        facts.add_row(
            "error by block",
            f"logits {manifest.quantization.logits.both.sqnr_db:.1f} dB signal to noise; worst block {worst.block}, "
            f"{worst.both.sqnr_db:.1f} dB (more: --quantization)",
        )
    if manifest.float_blocks is not None and manifest.float_blocks.blocks:
        facts.add_row(
            "INT8 islands", f"{', '.join(manifest.float_blocks.blocks)} in floating point: {manifest.float_blocks.why}"
        )
    for engine in manifest.engines:
        facts.add_row(
            "engine",
            f"{engine.runtime} {engine.version} {engine.precision} for {engine.device}, batch "
            f"{engine.batch[0]} to {engine.batch[2]}",
        )
        facts.add_row("", f"{engine.file}, {sizes[engine.file] / 1e6:.1f} MB, gate {_verdict(engine.gate)}")
    for runtime, choice in manifest.chosen.items():
        facts.add_row("chosen", f"{runtime} {choice.precision} on {choice.device}: {choice.why}")
        for candidate in choice.candidates:
            if candidate.dropped is not None:
                facts.add_row("", f"{candidate.precision} was dropped: {candidate.dropped}")
    if manifest.refused is not None:
        facts.add_row("refused", f"{manifest.refused}: not to be relied on")
    if not manifest.engines:
        facts.add_row("engines", "none: ssr-edge build-engine " + str(bundle.path))
    console.print(facts)
    console.print("Decision support for research, not a medical device.")


def _ranges(calibration: CalibrationEntry) -> str:
    corrections = [
        word
        for word, done in (("equalized", calibration.equalized), ("biases corrected", calibration.bias_corrected))
        if done
    ]
    return ", ".join([f"{calibration.method}, from {len(calibration.images)} images", *corrections])


def _verdict(gate: GateResult | None) -> str:
    if gate is None:
        return "not run"
    verdict = "passed" if gate.passed else "failed"
    if gate.allowed_drop:
        verdict += ", let through by --allow-drop" + (f" ({gate.allowed_by})" if gate.allowed_by else "")
    f1 = "" if gate.macro_f1 is None else f", macro-F1 {gate.macro_f1:.3f} (FP32 {gate.macro_f1_fp32:.3f})"
    return f"{verdict}: {gate.agreement:.1%} of {gate.images} labels agree{f1}"
