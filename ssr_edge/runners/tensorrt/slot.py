"""A stream, an execution context and buffers for one TensorRT call, so that calls in several slots overlap."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.images.preprocess import Image
from ssr_edge.runners.base import Outputs, Phases
from ssr_edge.runners.tensorrt.cuda import TransferBuffer
from ssr_edge.runners.tensorrt.kernel_errors import kernel_errors
from ssr_edge.runners.tensors import CAM, IMAGE_SHAPE, INPUT, Tensors

if TYPE_CHECKING:
    from ssr_kernels.launch import GpuResizer


class Slot:
    """One call at a time, with buffers for the largest batch. driver: `pycuda.driver`. log: see `listen`.

    tensors: the engine's, from `check_tensors`.

    Raises:
        RuntimeUnavailable: TensorRT rejected an address. MemoryError: the GPU or page-locked memory is full.
    """

    def __init__(self, driver: Any, context: Any, tensors: Tensors, max_batch: int, log: Any) -> None:
        self._driver, self._context, self._log, self._rows = driver, context, log, 0
        self._stream = driver.Stream()
        self._buffers: dict[str, TransferBuffer] = {}
        for name, (shape, dtype) in tensors.items():
            what = f"{name}, the largest batch of {max_batch}"
            buffer = TransferBuffer(driver, self._stream, what, (max_batch, *shape), dtype)
            self._buffers[name] = buffer
            self._check(context.set_tensor_address(name, buffer.address), f"the address of {name}")
        self._outputs = [name for name in tensors if name != INPUT]
        self._resizer: GpuResizer | None = None

    def start(self, images: Image) -> None:
        """Queues the copy to the GPU, the engine and the copies back, without waiting. images: [n, 224, 224, 3].

        Raises:
            RuntimeUnavailable: TensorRT rejected the shape or the call.
        """
        self._fill(images)
        self._buffers[INPUT].upload(self._rows)
        self._execute()
        self._download()

    def phases(self, images: Image) -> Phases:
        """Like `start` with events between the steps, then waits for the results and discards them.

        Raises:
            RuntimeUnavailable: TensorRT rejected the shape or the call.
        """
        self._fill(images)
        begun, uploaded, computed, downloaded = [self._driver.Event() for _ in range(4)]
        started = time.perf_counter()
        begun.record(self._stream)
        self._buffers[INPUT].upload(self._rows)
        uploaded.record(self._stream)
        self._execute()
        computed.record(self._stream)
        self._download()
        downloaded.record(self._stream)
        enqueue_ms = (time.perf_counter() - started) * 1000
        self._stream.synchronize()
        return Phases(
            h2d_ms=uploaded.time_since(begun),
            compute_ms=computed.time_since(uploaded),
            d2h_ms=downloaded.time_since(computed),
            enqueue_ms=enqueue_ms,
        )

    def load_resizer(self) -> None:
        """Loads the kernel that `start_originals` needs.

        Raises:
            RuntimeUnavailable: NVRTC is missing. BuildError: the kernel does not compile for this GPU.
        """
        from ssr_kernels.launch import GpuResizer

        with kernel_errors(self._driver):
            self._resizer = GpuResizer(self._driver, self._stream, IMAGE_SHAPE[0])

    def report_layers(self, profiler: Any) -> None:
        """Makes calls wait and report layer times to a `trt.IProfiler`, which the caller keeps alive."""
        self._context.profiler = profiler

    def start_originals(self, images: Sequence[Image]) -> None:
        """Like `start`, for images [h, w, 3] of any sizes, which the GPU resizes into the engine's input.

        Raises:
            RuntimeUnavailable: TensorRT rejected the shape or the call. InputError: an image is not uint8 [h, w, 3].
            MemoryError: no room for the originals.
        """
        assert self._resizer is not None, "load_resizer comes first"
        self._shape(len(images))
        with kernel_errors(self._driver):
            self._resizer.resize(images, self._buffers[INPUT].address)
        self._execute()
        self._download()

    def finish(self) -> Outputs:
        """Waits for the queued call. Returns copies of the results: the next call overwrites the buffers."""
        self._stream.synchronize()
        found = {name: self._buffers[name].host[: self._rows].copy() for name in self._outputs}
        return Outputs(found["logits"], found["probabilities"], found.get(CAM))

    def wait(self) -> None:
        """Waits for queued work. Required before the slot, and with it its buffers, is freed."""
        self._stream.synchronize()

    def _shape(self, rows: int) -> None:
        self._rows = rows
        shape = (rows, *IMAGE_SHAPE)
        self._check(self._context.set_input_shape(INPUT, shape), f"the shape {list(shape)}")

    def _fill(self, images: Image) -> None:
        """Copies images into the page-locked input."""
        self._shape(len(images))
        self._buffers[INPUT].host[: self._rows] = images

    def _execute(self) -> None:
        """Queues the engine behind the stream's writes to the input."""
        running = self._context.execute_async_v3(self._stream.handle)
        if not running:
            # The upload still reads the buffer that the next call writes.
            self._stream.synchronize()
        self._check(running, f"to run {self._rows} images")

    def _download(self) -> None:
        for name in self._outputs:
            self._buffers[name].download(self._rows)

    def _check(self, accepted: bool, what: str) -> None:
        if not accepted:
            raise RuntimeUnavailable(
                f"TensorRT rejected {what}; {self._log.last_error()}",
                expected="an intact engine and a working GPU",
                next_step="nvidia-smi, then run the same command again",
            )


def listen(trt: Any) -> Any:
    """A logger for TensorRT that keeps error messages; `last_error()` returns the last one."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)

        def last_error(self) -> str:
            return f"TensorRT: {self.errors[-1]}" if self.errors else "TensorRT logged no error"

    return Log()
