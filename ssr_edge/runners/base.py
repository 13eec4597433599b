"""The runner interface that the pipeline and the benchmark use for every runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from ssr_edge.images.preprocess import Image


@dataclass(frozen=True)
class Outputs:
    """An engine's results for n images. logits, probabilities: float32 [n, 8], columns in the order of CLASSES.

    cam: class activation maps, float32 [n, 8, h, w], if the engine was built with them.
    """

    logits: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    cam: npt.NDArray[np.float32] | None = None


class Runner(ABC):
    """A loaded engine. Use it as a context manager; leaving it frees the device.

    runtime: `openvino`, `tensorrt` ... precision: one of manifest.PRECISIONS; for a server, the model's name.
    version: the runtime's. device: its name.
    max_batch: maximum number of images per call. slots: maximum number of calls in flight.
    origin: the engine's source, for display ("engines/....blob", "compiled from model.int8.onnx").
    threads: number of compute threads; None if it does not run on this CPU.
    """

    runtime: str
    precision: str
    version: str
    device: str
    max_batch: int
    slots: int
    origin: str
    threads: int | None = None

    @property
    def name(self) -> str:
        """Runtime and precision, as in tables: `openvino-int8`."""
        return f"{self.runtime}-{self.precision}"

    def infer(self, images: Image) -> Outputs:
        """Classifies uint8 BGR [n, 224, 224, 3] with 1 <= n <= max_batch and waits for the result."""
        return self.collect(self.submit(images))

    @abstractmethod
    def submit(self, images: Image) -> int:
        """Submits uint8 BGR [n, 224, 224, 3] and returns its ticket; the array must not change until `collect`.

        At most `slots` tickets may be open; collect one before submitting more.
        """

    @abstractmethod
    def collect(self, ticket: int) -> Outputs:
        """Waits for a call and returns its result. Collect each ticket once."""

    @abstractmethod
    def close(self) -> None:
        """Frees the engine and discards open tickets."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@runtime_checkable
class TakesOriginals(Protocol):
    """A runner that resizes images on its own device: it takes them as decoded."""

    def submit_originals(self, images: Sequence[Image]) -> int:
        """Like `Runner.submit`, for 1 to `max_batch` uint8 BGR [height, width, 3] images of any sizes."""


@dataclass(frozen=True)
class Phases:
    """Times of a GPU call's phases in ms. h2d: copy to the GPU. compute: between the copies. d2h: copies back.

    enqueue: host time to queue all three. If it exceeds their sum, the GPU waits for the host, and their times include
    that wait.
    """

    h2d_ms: float
    compute_ms: float
    d2h_ms: float
    enqueue_ms: float


@runtime_checkable
class TimesPhases(Protocol):
    """A GPU runner that can time the phases of a call."""

    def phases(self, images: Image) -> Phases:
        """Runs one call on uint8 BGR [n, 224, 224, 3], like `Runner.infer`, and times its phases. Needs a free slot."""
