"""Builds TensorRT engines; the same code serves TensorRT 10.3 to 11.x and TensorRT for RTX, passed in as a module.

Networks are strongly typed: the ONNX file sets the precision, which TensorRT 11 requires and 10.x supports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssr_edge.common.errors import BuildError
from ssr_edge.common.files import replacing
from ssr_edge.common.progress import Log
from ssr_edge.images.preprocess import IMAGE_SIZE

# step(done, total, phase): the builder's progress.
Step = Callable[[int, int, str], None]
# End of a warning about each convolution with FP16 Q/DQ scales, which ONNX requires for FP16 outputs; harmless.
_EXPECTED = "scales to fp32."


@dataclass(frozen=True)
class TensorRtOptions:
    """Build options. batch: smallest, optimal and largest batch of the profile.

    workspace_mb: scratch memory limit, MiB; None for no limit. targets: compute capabilities such as `sm_89`, TensorRT
    for RTX only; empty builds RTX's portable default. timing_cache: file of kernel timings reused between builds.
    hardware_compatibility: `none`, `ampere_plus` or `same_compute_capability`. version_compatible: the engine also runs
    on later TensorRT versions.
    """

    batch: tuple[int, int, int] = (1, 8, 32)
    workspace_mb: int | None = None
    targets: tuple[str, ...] = ()
    timing_cache: Path | None = None
    hardware_compatibility: str = "none"
    version_compatible: bool = False


def build_tensorrt(trt: Any, model: bytes, options: TensorRtOptions, log: Log, step: Step) -> bytes:
    """Builds an engine from a serialized ONNX model and returns it serialized.

    trt: the module `tensorrt` or `tensorrt_rtx`. log: gets each warning once.

    Raises:
        BuildError: the parser or the builder rejects the model; names the node and the reason.
    """
    logger = _logger(trt)
    builder = trt.Builder(logger)
    if builder is None:
        raise _rejected("the builder can't start", logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise _rejected(_parser_error(parser), logger)
    config = _config(trt, builder, options)
    config.progress_monitor = _monitor(trt, step)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _rejected("the builder returned no engine", logger)
    if options.timing_cache is not None:
        with replacing(options.timing_cache) as temporary:
            temporary.write_bytes(memoryview(config.get_timing_cache().serialize()))
    for warning, count in logger.warnings.items():
        log(f"TensorRT: {warning}" + (f" ({count} times)" if count > 1 else ""))
    return bytes(plan)


def _config(trt: Any, builder: Any, options: TensorRtOptions) -> Any:
    config = builder.create_builder_config()
    if options.workspace_mb is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
    profile = builder.create_optimization_profile()
    profile.set_shape("images", *((n, IMAGE_SIZE, IMAGE_SIZE, 3) for n in options.batch))
    config.add_optimization_profile(profile)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatibility != "none":
        config.hardware_compatibility_level = _compatibility(trt, options.hardware_compatibility)
    if options.timing_cache is not None:
        known = options.timing_cache.read_bytes() if options.timing_cache.is_file() else b""
        # ignore_mismatch: a cache from another device or version is discarded without an error.
        config.set_timing_cache(config.create_timing_cache(known), True)
    if options.targets:
        _set_targets(trt, config, options.targets)
    return config


def _compatibility(trt: Any, name: str) -> Any:
    level = getattr(trt.HardwareCompatibilityLevel, name.upper(), None)
    if level is None:
        raise BuildError(
            f"TensorRT {trt.__version__} has no hardware compatibility {name!r}",
            expected="none or ampere_plus (same_compute_capability from TensorRT 10.13 on)",
            next_step="ssr-edge build-engine --hardware-compatibility ampere_plus",
        )
    return level


def _set_targets(trt: Any, config: Any, targets: tuple[str, ...]) -> None:
    if not hasattr(trt, "ComputeCapability"):
        raise BuildError(
            f"TensorRT {trt.__version__} builds for the GPU it runs on, not for {', '.join(targets)}",
            expected="--target only with --runtime tensorrt-rtx",
            next_step="ssr-edge build-engine --runtime tensorrt",
        )
    config.num_compute_capabilities = len(targets)
    for position, target in enumerate(targets):
        capability = getattr(trt.ComputeCapability, target.replace("sm_", "SM"), None)
        if capability is None:
            known = [name for name in dir(trt.ComputeCapability) if name.startswith("SM")]
            raise BuildError(
                f"TensorRT for RTX {trt.__version__} has no target {target!r}",
                expected="one of " + ", ".join(name.replace("SM", "sm_") for name in known),
                next_step="ssr-edge build-engine --runtime tensorrt-rtx  (without --target: runs on all of them)",
            )
        config.set_compute_capability(capability, position)


def _parser_error(parser: Any) -> str:
    errors = [parser.get_error(number) for number in range(parser.num_errors)]
    if not errors:
        return "the parser rejects the model"
    first = errors[0]
    if first.node() < 0:
        return f"the parser can't read the model: {first.desc()}"
    return f"node {first.node_name() or first.node()!r} ({first.node_operator() or 'unknown operator'}): {first.desc()}"


def _logger(trt: Any) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        """Collects TensorRT's messages, so that an error can include the reason."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []
            self.warnings: dict[str, int] = {}

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)
            elif severity == trt.ILogger.WARNING and not message.endswith(_EXPECTED):
                self.warnings[message] = self.warnings.get(message, 0) + 1

    return Logger()


def _monitor(trt: Any, step: Step) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Counts the steps of the outermost phase; names the current inner one, which can take minutes on a Jetson."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.outermost, self.done, self.total = "", 0, 0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if not parent_phase:
                self.outermost, self.done, self.total = phase_name, 0, num_steps
            step(self.done, self.total, phase_name)

        def step_complete(self, phase_name: str, number: int) -> bool:
            if phase_name == self.outermost:
                self.done = number + 1
                step(self.done, self.total, phase_name)
            return True

        def phase_finish(self, phase_name: str) -> None:
            # TensorRT may skip the last steps.
            if phase_name == self.outermost:
                step(self.total, self.total, phase_name)

    return Monitor()


def _rejected(reason: str, logger: Any) -> BuildError:
    detail = f"; TensorRT: {logger.errors[-1]}" if logger.errors else ""
    return BuildError(
        f"TensorRT rejected the model: {reason}{detail}",
        expected="a model.*.onnx of an ssr-edge bundle, and a GPU or target that supports its precision",
        next_step="ssr-edge doctor",
    )
