"""Runs a bundle's TensorRT engine on an NVIDIA GPU: page-locked copies and compute overlap between slots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import EngineEntry
from ssr_edge.common.errors import BundleError, UsageError
from ssr_edge.images.preprocess import Image
from ssr_edge.machine.gpu_memory import no_room
from ssr_edge.runners.base import Outputs, Phases, Runner
from ssr_edge.runners.tensorrt.cuda import open_cuda
from ssr_edge.runners.tensorrt.engine import (
    check_tensors,
    choose_engine,
    import_tensorrt,
    is_version_compatible,
    rebuild,
)
from ssr_edge.runners.tensorrt.slot import Slot, listen
from ssr_edge.runners.tensors import IMAGE_SHAPE, INPUT


class TensorRtRunner(Runner):
    """The bundle's engine for this TensorRT version and this GPU.

    Raises:
        RuntimeUnavailable: TensorRT, pycuda or the GPU is missing, or the GPU has too little memory.
        BundleError: no engine matches, or the matching one was modified or has other tensors.
    """

    runtime = "tensorrt"

    def __init__(self, bundle: Bundle, precision: str, slots: int = 1) -> None:
        trt = import_tensorrt(self.runtime)
        self._cuda = open_cuda(self.runtime)
        self.precision, self.slots, self.version = precision, slots, trt.__version__
        self.device = f"{self._cuda.name} ({self._cuda.architecture})"
        entry = choose_engine(bundle, self.runtime, precision, self.version, self._cuda)
        self.origin = entry.file
        path = bundle.file(entry.file)
        self._slots: list[Slot] = []
        self._free: list[Slot] = []
        self._open: dict[int, Slot] = {}
        self._tickets = 0
        try:
            with self._cuda.current():
                self._load(trt, entry, path)
        except BaseException:
            self.close()
            raise

    def submit(self, images: Image) -> int:
        """See Runner.

        Raises:
            UsageError: the images are not uint8 [n, 224, 224, 3] with 1 <= n <= max_batch.
            RuntimeUnavailable: TensorRT or the GPU failed.
        """
        self._check_images(images)
        return self._start(lambda slot: slot.start(images))

    def collect(self, ticket: int) -> Outputs:
        """See Runner.

        Raises:
            RuntimeUnavailable: the GPU failed.
        """
        slot = self._open.pop(ticket)
        try:
            with self._cuda.current():
                return slot.finish()
        finally:
            self._free.append(slot)

    def phases(self, images: Image) -> Phases:
        """See TimesPhases.

        Raises:
            UsageError, RuntimeUnavailable: as `submit`.
        """
        self._check_images(images)
        slot = self._free.pop()
        try:
            with self._cuda.current():
                return slot.phases(images)
        finally:
            self._free.append(slot)

    def close(self) -> None:
        """See Runner."""
        with self._cuda.current():
            self._open.clear()
            self._free.clear()
            # Slots hold the last references, to the engine too, and must be freed while the context is current. A loop
            # variable would outlive it.
            while self._slots:
                self._slots.pop().wait()
            self._outlives_contexts: tuple[Any, Any] = (None, None)

    def _start(self, start: Callable[[Slot], None]) -> int:
        slot = self._free.pop()
        try:
            with self._cuda.current():
                start(slot)
        except BaseException:
            self._free.append(slot)
            raise
        self._tickets += 1
        self._open[self._tickets] = slot
        return self._tickets

    def _check_images(self, images: Image) -> None:
        if images.dtype != np.uint8 or images.shape[1:] != IMAGE_SHAPE or not 1 <= len(images) <= self.max_batch:
            raise self._not_taken(f"{images.dtype} {list(images.shape)}", f"{[f'1 to {self.max_batch}', *IMAGE_SHAPE]}")

    def _not_taken(self, given: str, shape: str) -> UsageError:
        return UsageError(
            f"{self.origin} was given {given}",
            expected=f"uint8 {shape}",
            next_step="use smaller batches, or ssr-edge build-engine with a larger --batch",
        )

    def _load(self, trt: Any, entry: EngineEntry, path: Path) -> None:
        log = listen(trt)
        runtime = trt.Runtime(log)
        # A version-compatible engine contains NVIDIA's lean runtime as host code.
        runtime.engine_host_code_allowed = is_version_compatible(entry)
        plan = path.read_bytes()
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            if "outofmemory" in log.last_error().lower().replace(" ", ""):
                raise no_room(self._cuda.driver, entry.file, len(plan), log.last_error())
            raise BundleError(
                f"{self.runtime} {self.version} can't load {entry.file}; {log.last_error()}",
                expected=f"an engine for {self.device}",
                next_step=rebuild(self.runtime, self.precision),
            )
        tensors = check_tensors(trt, engine, entry)
        self.max_batch = int(engine.get_tensor_profile_shape(INPUT, 0)[2][0])
        config, cache = self._runtime_config(trt, engine)
        self._outlives_contexts = (config, cache)
        for number in range(1, self.slots + 1):
            context = engine.create_execution_context() if config is None else engine.create_execution_context(config)
            if context is None:
                scratch = engine.device_memory_size_v2
                raise no_room(self._cuda.driver, f"the scratch memory of slot {number}", scratch, log.last_error())
            self._slots.append(Slot(self._cuda.driver, context, tensors, self.max_batch, log))
        self._free = list(self._slots)

    def _runtime_config(self, trt: Any, engine: Any) -> tuple[Any, Any]:
        """TensorRT for RTX's runtime configuration and cache; (None, None) for TensorRT."""
        if not hasattr(trt, "CudaGraphStrategy"):
            return None, None
        config = engine.create_runtime_config()
        config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        # Kernels are compiled on this machine: with a shared cache, later slots reuse the first slot's kernels.
        cache = config.create_runtime_cache()
        config.set_runtime_cache(cache)
        return config, cache


class TensorRtOriginalsRunner(TensorRtRunner):
    """TensorRtRunner for images as decoded, of any sizes: the GPU resizes them directly into the engine's input.

    Labels may differ from those of images resized on the CPU: the kernel is within 1 gray level of OpenCV's resize.

    Raises:
        RuntimeUnavailable: as TensorRtRunner, or NVRTC is missing.
        BuildError: the kernel does not compile for this GPU.
    """

    def submit_originals(self, images: Sequence[Image]) -> int:
        """See TakesOriginals.

        Raises:
            UsageError: no images, or more than max_batch. InputError: an image is not uint8 [h, w, 3].
            RuntimeUnavailable: TensorRT or the GPU failed, or has no room for the originals.
        """
        if not 1 <= len(images) <= self.max_batch:
            raise self._not_taken(f"{len(images)} originals", f"{[f'1 to {self.max_batch}', 'any', 'any', 3]}")
        return self._start(lambda slot: slot.start_originals(images))

    def _load(self, trt: Any, entry: EngineEntry, path: Path) -> None:
        super()._load(trt, entry, path)
        for slot in self._slots:
            slot.load_resizer()


class TensorRtRtxRunner(TensorRtRunner):
    """TensorRtRunner with TensorRT for RTX, whose engines finish compiling on the GPU that runs them."""

    runtime = "tensorrt-rtx"


class TensorRtRtxOriginalsRunner(TensorRtOriginalsRunner):
    """TensorRtOriginalsRunner with TensorRT for RTX."""

    runtime = "tensorrt-rtx"
