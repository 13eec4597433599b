"""Classifies images with a bundle's engine: the entry point for Python programs, and what `ssr-edge infer` runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import Precision
from ssr_edge.common.errors import InputError, UsageError
from ssr_edge.common.progress import Log
from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import Image
from ssr_edge.inference.pipeline import Failure, submit, to_result
from ssr_edge.inference.prediction import Prediction
from ssr_edge.inference.read_ahead import decode_input
from ssr_edge.inference.run import Annotate, run_source
from ssr_edge.machine.environment import usable_cores
from ssr_edge.runners.base import Runner, TakesOriginals
from ssr_edge.runners.choose import Runtime, choose_precision, choose_runtime, open_runner, open_server_runner
from ssr_edge.runners.server.address import RetryPolicy, ServerAddress
from ssr_edge.slides.tiles import slide_tiles
from ssr_edge.sources.choose import Source, open_source
from ssr_edge.sources.inputs import Input


class Classifier:
    """Classifies images with a bundle's engine. A context manager: loads the engine on entry and frees it on exit.

        with Classifier("bundles/demo") as classify:
            print(classify(image))
            for result in classify.stream("slides/"):
                ...

    The constructor only chooses the engine. Use an instance from one thread at a time.

    Args:
        bundle: a bundle's folder, or an opened Bundle; None for the newest in ./bundles.
        runtime: `auto` selects TensorRT if the bundle has an engine for this GPU, else OpenVINO.
        precision: `fp32`, `bf16`, `fp16` or `int8`; None for the one chosen when the engines were built.
        threads: cores to use, for an engine on the CPU and for decoding in `stream`; None for all.
        requests: engine calls in flight at once; one computes while the next is prepared.
        resize: where images are resized to the network's input size; `gpu` only with TensorRT.

    Attributes:
        bundle: the opened bundle; None for a served model without one.
        why: the reason for the choice of runtime, as a phrase.

    Raises:
        BundleError: the bundle does not exist or lacks the precision.
        RuntimeUnavailable: on entry, a package or device is missing.
        ServerError: on entry, the server can't be reached or serves another model.
    """

    bundle: Bundle | None
    why: str

    def __init__(
        self,
        bundle: str | Path | Bundle | None = None,
        *,
        runtime: Runtime = "auto",
        precision: Precision | None = None,
        threads: int | None = None,
        requests: int = 2,
        resize: Literal["cpu", "gpu"] = "cpu",
    ) -> None:
        opened = _open_bundle(bundle)
        chosen = choose_precision(opened, precision, runtime)
        name, why = choose_runtime(opened, runtime, chosen)
        self._set(
            opened,
            why,
            threads,
            lambda single: open_runner(opened, name, chosen, requests, resize, single=single, threads=threads),
        )

    @classmethod
    def on_server(
        cls,
        server: str,
        bundle: str | Path | Bundle | None = None,
        *,
        deadline: float = 10.0,
        retry_for: float = 30.0,
        threads: int | None = None,
        requests: int = 2,
    ) -> Self:
        """Uses a model on a KServe v2 server (Triton, MLServer) instead of an engine on this machine.

        server: `grpc://HOST:PORT/MODEL`. bundle: gives the magnification the model was trained for; None if unknown.
        deadline: seconds until a request times out. retry_for: seconds for which a failed request is retried.

        Raises:
            UsageError: the address is not that of a model. BundleError: the bundle does not exist.
        """
        address = ServerAddress.parse(server)
        policy = RetryPolicy(deadline, retry_for)
        served = cls.__new__(cls)
        served._set(
            None if bundle is None else _open_bundle(bundle),
            "asked for",
            threads,
            lambda _: open_server_runner(address, requests, policy),
        )
        return served

    def _set(self, bundle: Bundle | None, why: str, threads: int | None, open_engine: Callable[[bool], Runner]) -> None:
        self.bundle, self.why = bundle, why
        self._threads, self._open_engine = threads, open_engine
        self._runner: Runner | None = None

    @property
    def magnification(self) -> int | None:
        """The magnification the bundle was trained for (40, 100, 200 or 400); None for any, or without a bundle."""
        return None if self.bundle is None else self.bundle.manifest.magnification

    @property
    def runner(self) -> Runner:
        """The loaded engine: its name, version, device and largest batch.

        Raises:
            UsageError: the engine is not loaded.
        """
        if self._runner is None:
            raise UsageError(
                "the classifier's engine is not loaded",
                expected="a call inside its with block",
                next_step="with Classifier(...) as classify: ...",
            )
        return self._runner

    def load(self, *, single: bool = False) -> Self:
        """Loads the engine; the with block does this on entry. single: every call will have only one image."""
        if self._runner is None:
            self._runner = self._open_engine(single)
        return self

    def close(self) -> None:
        """Frees the engine."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def __call__(self, image: npt.NDArray[Any], *, colors: Literal["bgr", "rgb"] = "bgr") -> Prediction:
        """Classifies one image.

        image: uint8 [height, width, 3] of any size, in [0, 255]. colors: the order of its channels.

        Raises:
            InputError: the array has another type or shape, or the engine returned invalid probabilities.
            UsageError: called outside the with block.
        """
        runner, bgr = self.runner, _checked(image, colors)
        decoded = decode_input(Input("", lambda: bgr), keep_images=False, originals=isinstance(runner, TakesOriginals))
        assert decoded.image is not None  # only decoding can fail here, and an array needs none
        probabilities = runner.collect(submit(runner, [decoded.image])).probabilities[0]
        result = to_result(decoded, probabilities, self.magnification, time.perf_counter())
        if isinstance(result, Failure):
            raise InputError(
                result.reason,
                expected="finite probabilities from 0 to 1 that sum to 1",
                next_step="ssr-edge bench  (compares the engine with FP32)",
            )
        return result

    def stream(
        self,
        source: str | Path | Source,
        batch: int = 8,
        *,
        decoders: int | None = None,
        every: int = 1,
        live: bool | None = None,
        mpp: float | None = None,
        keep_images: bool = False,
        stop: Event | None = None,
        annotate: Annotate | None = None,
        log: Log | None = None,
    ) -> Iterator[Prediction | Failure]:
        """Yields a result for each input of a source, in order; memory does not grow with their number.

        Args:
            source: a folder, glob, image, slide, video, camera (`"0"`) or stream (`rtsp://`, `http://`), or an opened
                Source. A file that can't be read yields a Failure.
            batch: largest number of images in one engine call.
            decoders: number of threads that read and decode images; None for the value of `threads`.
            every: use only every Nth frame of a video, camera or stream, or every Nth page of a TIFF.
            live: process only the newest frame and drop the others; None enables this for cameras and streams.
            mpp: micrometers per level-0 pixel of slides; None for the value in each slide's metadata.
            keep_images: store the whole image, uint8 [h, w, 3], BGR, in each prediction's `image`.
            stop: when set, the stream ends after the inputs already read.
            annotate: called with each prediction, with its `image`, and the labels per second of a live source.
            log: for a live source, called every ten seconds and at the end with frame count, drops and latency.

        Raises:
            UsageError: the source does not exist or can't be live, or the engine is not loaded.
            RuntimeUnavailable: while iterating, a camera or stream can't be opened.
        """
        stop = stop or Event()
        if isinstance(source, (str, Path)):
            source = open_source(
                str(source), stop, every, live, lambda path: slide_tiles(path, self.magnification, mpp)
            )
        return run_source(
            source,
            self.runner,
            batch_size=batch,
            threads=decoders or self._threads or usable_cores(),
            magnification=self.magnification,
            keep_images=keep_images,
            stop=stop,
            annotate=annotate,
            log=log,
        )

    def __enter__(self) -> Self:
        return self.load()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_bundle(bundle: str | Path | Bundle | None) -> Bundle:
    if isinstance(bundle, Bundle):
        return bundle
    return Bundle.newest() if bundle is None else Bundle.open(Path(bundle))


def _checked(image: Any, colors: str) -> Image:
    """Checks an image and returns it in BGR order."""
    shape: tuple[int, ...] = getattr(image, "shape", ())
    if getattr(image, "dtype", None) != np.uint8 or len(shape) != 3 or shape[2:] != (3,) or 0 in shape:
        found = f"{image.dtype} {list(shape)}" if hasattr(image, "dtype") else type(image).__name__
        raise InputError(
            f"the image is {found}",
            expected="a NumPy array, uint8 [height, width, 3], in [0, 255]",
            next_step='cv2.imread(path), or np.asarray(PIL_image.convert("RGB")) with colors="rgb"',
        )
    checked = np.asarray(image, np.uint8)
    return cv2.cvtColor(checked, cv2.COLOR_RGB2BGR).astype(np.uint8, copy=False) if colors == "rgb" else checked
