"""What every runtime looks like to the pipeline and the benchmark."""

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
    """What an engine says of n images. logits, probabilities: float32 [n, 8], columns in the order of CLASSES.

    cam: class activation maps, float32 [n, 8, h, w], of an engine that was built with them.
    """

    logits: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    cam: npt.NDArray[np.float32] | None = None


class Runner(ABC):
    """An engine, loaded. Use it as a context manager; leaving it frees the device.

    runtime: `openvino`, `tensorrt` ... precision: of manifest.PRECISIONS; of a server, its model's name.
    version: of the runtime. device: in words.
    max_batch: most images in one call. slots: calls that may be under way at once.
    origin: where the engine came from, for the user ("engines/....blob", "compiled from model.int8.onnx").
    threads: that it computes with; None where it does not on this processor.
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
        """Starts a call on uint8 BGR [n, 224, 224, 3] and returns its ticket; the array must not change meanwhile.

        At most `slots` tickets may be open; collect one before submitting more.
        """

    @abstractmethod
    def collect(self, ticket: int) -> Outputs:
        """Waits for a call and returns its result; each ticket is collected once."""

    @abstractmethod
    def close(self) -> None:
        """Frees the engine. Open tickets are lost."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@runtime_checkable
class TakesOriginals(Protocol):
    """A runner that resizes images itself, where it runs: they go to it as decoded."""

    def submit_originals(self, images: Sequence[Image]) -> int:
        """As `Runner.submit`, of 1 to `max_batch` uint8 BGR [height, width, 3] of any sizes."""


@dataclass(frozen=True)
class Phases:
    """Where a call's time went on a GPU, in ms. h2d: copy to the GPU. compute: between the copies. d2h: copies back.

    enqueue: of the host, to queue all three. Where it is longer than they are, the GPU waits for the host, and its
    waiting is inside their times.
    """

    h2d_ms: float
    compute_ms: float
    d2h_ms: float
    enqueue_ms: float


@runtime_checkable
class TimesPhases(Protocol):
    """A runner on a GPU, whose calls are made of phases."""

    def phases(self, images: Image) -> Phases:
        """Makes one call on uint8 BGR [n, 224, 224, 3], as `Runner.infer`, and times its phases; needs a free slot."""
