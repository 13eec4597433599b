"""Builds the engines of one bundle, evaluates each with the gate, drops those that fail and chooses the default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import onnx

from ssr_edge.bundle.bundle import CALIBRATION, Bundle, model_file, write_manifest
from ssr_edge.bundle.manifest import EngineEntry, FloatBlocks, GateResult, Manifest, Precision
from ssr_edge.common.errors import ExportError, RuntimeUnavailable
from ssr_edge.common.progress import Log
from ssr_edge.machine.gpu import find_gpu
from ssr_export.engines.block_ranker import BlockRanker
from ssr_export.engines.build import EngineRequest, build_engine
from ssr_export.engines.choose import choose_engine
from ssr_export.engines.float_blocks import RANKING_IMAGES, named_float_blocks, proposals
from ssr_export.engines.gate import HeldOut, allowed, describe, evaluate_engine, read_held_out, refusal
from ssr_export.image_sets import ImageSets, first_readable
from ssr_export.int8.calibrate import Calibration, read_calibration
from ssr_export.int8.quantize import block_names, quantize
from ssr_export.plan import BundlePlan


@dataclass(frozen=True)
class BundleBuilder:
    """Adds engines to a bundle that is being written. folder: holds its models. manifest: extended in place.

    images: calibration images to search for float blocks on, and held-out images for the gate.
    """

    folder: Path
    manifest: Manifest
    plan: BundlePlan
    images: ImageSets
    log: Log

    def add_engines(self, requests: Sequence[EngineRequest]) -> None:
        """Builds the requested engines, runtime by runtime, and writes the manifest.

        Raises:
            GateRefused: a required engine failed the gate, or only FP32 passed.
            UsageError: `plan.float_blocks` names an unknown block. BuildError: see `ssr_export.engines.build`.
        """
        if any(request.precision == "int8" for request in requests):
            self._apply_named_float_blocks()
        for runtime in dict.fromkeys(request.runtime for request in requests):
            self._add_runtime([request for request in requests if request.runtime == runtime])
        write_manifest(self.folder, self.manifest)

    def _apply_named_float_blocks(self) -> None:
        if self.plan.float_blocks == "auto":
            return  # start from the bundle's INT8 model
        named = named_float_blocks(self.plan.float_blocks, block_names(self._int8_inputs()[0]))
        if named or self.manifest.float_blocks is not None:
            self._write_int8(FloatBlocks(asked=self.plan.float_blocks, blocks=named, why="named by --float-blocks"))

    def _add_runtime(self, requests: Sequence[EngineRequest]) -> None:
        rejected: list[EngineEntry] = []
        for request in requests:
            engine = self._build(request)
            if _failed(engine) and self._may_search(request):
                engine = self._build_with_float_blocks(request)
            if engine.gate is None or engine.gate.passed:
                continue
            if self.plan.allow_drop:
                engine.gate = allowed(engine.gate)
                self.log(f"  shipped anyway: --allow-drop, by {engine.gate.allowed_by}")
            elif request.required:
                raise refusal(engine, engine.gate)
            else:
                rejected.append(engine)
        left = {request.precision for request in requests} - {engine.precision for engine in rejected}
        if rejected and left <= {"fp32"}:
            # FP32 alone is several times slower than expected, so it is shipped only on request.
            assert rejected[-1].gate is not None
            raise refusal(rejected[-1], rejected[-1].gate)
        self._choose(engine, {other.precision: self._drop(other) for other in rejected})

    def _build(self, request: EngineRequest) -> EngineEntry:
        """Builds an engine, adds it to the manifest and evaluates it if this machine can run it."""
        if request.precision == "int8" and self.manifest.float_blocks is not None:
            request = replace(request, float_blocks=tuple(self.manifest.float_blocks.blocks))
        engine = build_engine(self.folder, request, self.log)
        kept = [other for other in self.manifest.engines if other.file != engine.file]
        self.manifest.engines = [*kept, engine]
        size = (self.folder / engine.file).stat().st_size / 1e6
        name = f"{engine.runtime} {engine.precision} for {engine.device}"
        self.log(f"built {name}: {size:.1f} MB in {engine.build_seconds:.1f} s")
        # The gate opens the bundle as a user would, so the new engine must be in the manifest on disk.
        write_manifest(self.folder, self.manifest)
        engine.gate = self._evaluate(engine)
        return engine

    def _evaluate(self, engine: EngineEntry) -> GateResult | None:
        if not self.images.held_out:
            self.log("  not gated: no held-out images (--held-out FOLDER)")
            return None
        if not _runs_here(engine.runtime):
            self.log("  not gated: this machine has no GPU to run it on")
            return None
        try:
            result = evaluate_engine(Bundle(self.folder, self.manifest), engine, self._held_out)
        except RuntimeUnavailable as error:
            self.log(f"  not gated: {error.found}")
            return None
        self.log(f"  gate {'passed' if result.passed else 'failed'}: {describe(result)}")
        return result

    @cached_property
    def _held_out(self) -> HeldOut:
        return read_held_out(Bundle(self.folder, self.manifest), self.images.held_out)

    def _may_search(self, request: EngineRequest) -> bool:
        return request.precision == "int8" and self.plan.float_blocks == "auto" and bool(self.images.calibration)

    def _build_with_float_blocks(self, request: EngineRequest) -> EngineEntry:
        """Builds INT8 with more and more float blocks until it passes; plain INT8 if none of them passes."""
        self.log("  searching for the blocks that cost INT8 its accuracy")
        model, calibration = self._int8_inputs()
        pixels = first_readable(self.images.calibration, RANKING_IMAGES)
        ranker = BlockRanker(model, calibration.ranges, pixels, calibration.bias_errors)
        for proposal in proposals(ranker, block_names(model), self.log):
            self._write_int8(proposal)
            engine = self._build(request)
            if not _failed(engine):
                break
        self.log(f"  {proposal.why}")
        return engine

    def _int8_inputs(self) -> tuple[onnx.ModelProto, Calibration]:
        """The FP32 model and the calibration that INT8 models are written from."""
        calibration = read_calibration(self.folder / CALIBRATION)
        if calibration is None:
            raise ExportError(
                f"the bundle has no readable {CALIBRATION}",
                expected="the calibration ranges for the INT8 model",
                next_step="ssr-edge build-engine CHECKPOINT",
            )
        return onnx.load(self.folder / model_file("fp32")), calibration

    def _write_int8(self, float_blocks: FloatBlocks) -> None:
        model, calibration = self._int8_inputs()
        int8 = quantize(model, calibration.ranges, float_blocks.blocks, calibration.bias_errors)
        onnx.save(int8, self.folder / model_file("int8"))
        self.manifest.float_blocks = float_blocks

    def _drop(self, engine: EngineEntry) -> str:
        """Removes a rejected engine from the bundle; returns the reason."""
        assert engine.gate is not None
        self.manifest.engines.remove(engine)
        file = self.folder / engine.file
        file.unlink()
        file.with_suffix(".json").unlink()
        reason = "; ".join(engine.gate.reasons)
        self.log(f"dropped {engine.runtime} {engine.precision}: {reason}")
        return reason

    def _choose(self, latest: EngineEntry, dropped: dict[Precision, str]) -> None:
        if not _runs_here(latest.runtime):
            return
        target = (latest.runtime, latest.version, latest.device)
        engines = [e for e in self.manifest.engines if (e.runtime, e.version, e.device) == target]
        write_manifest(self.folder, self.manifest)
        choice = choose_engine(self.folder, engines, dropped)
        if choice is not None:
            self.manifest.chosen[latest.runtime] = choice
            self.log(f"chosen for {latest.runtime}: {choice.precision}, {choice.why}")


def _failed(engine: EngineEntry) -> bool:
    return engine.gate is not None and not engine.gate.passed


def _runs_here(runtime: str) -> bool:
    return runtime == "openvino" or find_gpu() is not None
