"""Builds a bundle's candidates for each runtime, has each judged by the gate, and ships those that pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

from ssr_edge.bundle.bundle import CALIBRATION, Bundle, model_file, write_manifest
from ssr_edge.bundle.manifest import EngineEntry, FloatBlocks, GateResult, Manifest, Precision
from ssr_edge.common.errors import ExportError, RuntimeUnavailable
from ssr_edge.common.progress import Log
from ssr_edge.machine.gpu import find_gpu
from ssr_export.engines.block_ranker import Screen
from ssr_export.engines.build import EngineRequest, build_engine
from ssr_export.engines.choose import choose_engine
from ssr_export.engines.float_blocks import SCREEN_IMAGES, named_float_blocks, search
from ssr_export.engines.gate import HeldOut, allowed, describe, evaluate_engine, read_held_out, refusal
from ssr_export.image_sets import first_readable
from ssr_export.int8.calibrate import Calibration, read_calibration
from ssr_export.int8.quantize import block_names, quantize


@dataclass
class BundleBuilder:
    """A bundle in the making. held_out: files to judge by. screen_images: files to look for islands on.

    float_blocks: as `--float-blocks` says it. allow_drop: ship what the gate would refuse.
    """

    folder: Path
    manifest: Manifest
    held_out: Sequence[Path]
    screen_images: Sequence[Path]
    float_blocks: str
    allow_drop: bool
    log: Log
    _judge: HeldOut | None = field(default=None, init=False)

    def add_engines(self, requests: Sequence[EngineRequest]) -> None:
        """Builds what is asked for, runtime by runtime, and writes the manifest.

        Raises:
            GateRefused: an engine that was asked for by its precision did not pass, or nothing but FP32 did.
            UsageError: `islands` names a block that the network lacks. BuildError: see `ssr_export.engines.build`.
        """
        if any(request.precision == "int8" for request in requests):
            self._use_named_float_blocks()
        for runtime in dict.fromkeys(request.runtime for request in requests):
            self._add_runtime([request for request in requests if request.runtime == runtime])
        write_manifest(self.folder, self.manifest)

    def _add_runtime(self, requests: Sequence[EngineRequest]) -> None:
        failed: list[EngineEntry] = []
        for request in requests:
            engine = self._build(request)
            if _failed(engine):
                engine = self._mend(request, engine)
            if engine.gate is None or engine.gate.passed:
                continue
            if self.allow_drop:
                engine.gate = allowed(engine.gate)
                self.log(f"  let through by --allow-drop, said by {engine.gate.allowed_by}")
            elif request.asked_for:
                raise refusal(engine, engine.gate)
            else:
                failed.append(engine)
        left = {request.precision for request in requests} - {engine.precision for engine in failed}
        if failed and left <= {"fp32"}:
            # A bundle of FP32 alone is many times slower than what was hoped for: shipped only where it is asked for.
            assert failed[-1].gate is not None
            raise refusal(failed[-1], failed[-1].gate)
        self._choose(engine, {other.precision: self._drop(other) for other in failed})

    def _build(self, request: EngineRequest) -> EngineEntry:
        """Builds an engine, puts it into the manifest and judges it if this machine can."""
        if request.precision == "int8" and self.manifest.float_blocks is not None:
            request = replace(request, float_blocks=tuple(self.manifest.float_blocks.blocks))
        engine = build_engine(self.folder, request, self.log)
        kept = [other for other in self.manifest.engines if other.file != engine.file]
        self.manifest.engines = [*kept, engine]
        size = (self.folder / engine.file).stat().st_size / 1e6
        what = f"{engine.runtime} {engine.precision} for {engine.device}"
        self.log(f"built {what}: {size:.1f} MB in {engine.build_seconds:.1f} s")
        # The gate opens the bundle as a user would, so what was just built must be in the manifest.
        write_manifest(self.folder, self.manifest)
        engine.gate = self._gate(engine)
        return engine

    def _gate(self, engine: EngineEntry) -> GateResult | None:
        if not self.held_out:
            self.log("  not gated: no held-out images (--held-out FOLDER)")
            return None
        if not _runs_here(engine.runtime):
            self.log("  not gated: this machine has no GPU to run it on")
            return None
        bundle = Bundle(self.folder, self.manifest)
        if self._judge is None:
            self._judge = read_held_out(bundle, self.held_out)
        try:
            result = evaluate_engine(bundle, engine, self._judge)
        except RuntimeUnavailable as error:
            self.log(f"  not gated: {error.found}")
            return None
        self.log(f"  gate {'passed' if result.passed else 'failed'}: {describe(result)}")
        return result

    def _use_named_float_blocks(self) -> None:
        if self.float_blocks == "auto":
            return  # begins with what the bundle has
        named = named_float_blocks(self.float_blocks, block_names(self._int8_sources()[0]))
        if named or self.manifest.float_blocks is not None:
            self._write_int8(FloatBlocks(asked=self.float_blocks, blocks=named, why="named by --float-blocks"))

    def _mend(self, request: EngineRequest, engine: EngineEntry) -> EngineEntry:
        """The engine with the islands that make it pass, or without any where none do."""
        if request.precision != "int8" or self.float_blocks != "auto" or not self.screen_images:
            return engine
        self.log("  looking for the blocks that cost INT8 its labels")
        model, calibration = self._int8_sources()
        built = engine

        def passes(blocks: list[str]) -> bool:
            nonlocal built
            self._write_int8(FloatBlocks(asked="auto", blocks=blocks, why="on trial"))
            built = self._build(request)
            return not _failed(built)

        few = first_readable(self.screen_images, SCREEN_IMAGES)
        screen = Screen(model, calibration.ranges, few, calibration.bias_errors)
        found = search(screen, block_names(model), passes, self.log)
        self.log(f"  {found.why}")
        if found.blocks:
            self.manifest.float_blocks = found
            return built
        self._write_int8(found)
        return self._build(request)

    def _int8_sources(self) -> tuple[onnx.ModelProto, Calibration]:
        calibration = read_calibration(self.folder / CALIBRATION)
        if calibration is None:
            raise ExportError(
                f"the bundle has no {CALIBRATION} that can be read",
                expected="the ranges that INT8 is written from",
                next_step="ssr-edge build-engine CHECKPOINT",
            )
        return onnx.load(self.folder / model_file("fp32")), calibration

    def _write_int8(self, float_blocks: FloatBlocks) -> None:
        model, found = self._int8_sources()
        int8 = quantize(model, found.ranges, float_blocks.blocks, found.bias_errors)
        onnx.save(int8, self.folder / model_file("int8"))
        self.manifest.float_blocks = float_blocks

    def _drop(self, engine: EngineEntry) -> str:
        """Takes a candidate out of the bundle again; returns why."""
        assert engine.gate is not None
        self.manifest.engines.remove(engine)
        file = self.folder / engine.file
        file.unlink()
        file.with_suffix(".json").unlink()
        why = "; ".join(engine.gate.reasons)
        self.log(f"dropped {engine.runtime} {engine.precision}: {why}")
        return why

    def _choose(self, latest: EngineEntry, dropped: dict[Precision, str]) -> None:
        if not _runs_here(latest.runtime):
            return
        built_for = (latest.runtime, latest.version, latest.device)
        engines = [e for e in self.manifest.engines if (e.runtime, e.version, e.device) == built_for]
        write_manifest(self.folder, self.manifest)
        choice = choose_engine(self.folder, engines, dropped)
        if choice is not None:
            self.manifest.chosen[latest.runtime] = choice
            self.log(f"chosen for {latest.runtime}: {choice.precision}, {choice.why}")


def _failed(engine: EngineEntry) -> bool:
    return engine.gate is not None and not engine.gate.passed


def _runs_here(runtime: str) -> bool:
    return runtime == "openvino" or find_gpu() is not None
