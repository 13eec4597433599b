"""A scripted KServe v2 server in this process, over real gRPC on loopback."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.runners.server.address import ServerAddress

MODEL = "breast"
Tensor = tuple[str, str, list[int]]


@dataclass
class Script:
    """The server's metadata and its behavior for the next requests.

    failures: a status or a delay in seconds, one for each inference request; later requests are answered at once.
    asked: the inference requests so far. most_at_once: their maximum concurrency.
    """

    inputs: list[Tensor] = field(default_factory=lambda: [("images", "UINT8", [-1, 224, 224, 3])])
    outputs: list[Tensor] = field(
        default_factory=lambda: [("logits", "FP32", [-1, 8]), ("probabilities", "FP32", [-1, 8])]
    )
    extensions: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=lambda: list(CLASSES))
    max_batch_size: int = 0
    version: str = "3"
    failures: deque[grpc.StatusCode | float] = field(default_factory=deque)
    always: grpc.StatusCode | float | None = None
    spoil: Any = None
    asked: list[pb.ModelInferRequest] = field(default_factory=list)
    most_at_once: int = 0


def probabilities(images: np.ndarray) -> np.ndarray:
    """float32 [n, 8] of uint8 [n, 224, 224, 3]: the class is the first pixel's blue, its probability 0.65."""
    found = np.full((len(images), len(CLASSES)), 0.05, np.float32)
    found[np.arange(len(images)), images[:, 0, 0, 0] % len(CLASSES)] = 0.65
    return found


class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    def __init__(self, script: Script) -> None:
        self.script, self.stopped = script, threading.Event()
        self._lock, self._now = threading.Lock(), 0

    def ServerMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return pb.ServerMetadataResponse(name="double", version="1.0", extensions=self.script.extensions)

    def ModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        if request.name != MODEL:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model: '{request.name}'")
        tensor = pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            name=MODEL,
            inputs=[tensor(name=name, datatype=kind, shape=shape) for name, kind, shape in self.script.inputs],
            outputs=[tensor(name=name, datatype=kind, shape=shape) for name, kind, shape in self.script.outputs],
        )

    def ModelConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        response = pb.ModelConfigResponse()
        response.config.max_batch_size = self.script.max_batch_size
        return response

    def ModelInfer(self, request: pb.ModelInferRequest, context: grpc.ServicerContext) -> Any:  # noqa: N802
        with self._lock:
            self.script.asked.append(request)
            self._now += 1
            self.script.most_at_once = max(self.script.most_at_once, self._now)
            trouble = self.script.failures.popleft() if self.script.failures else self.script.always
        try:
            if isinstance(trouble, grpc.StatusCode):
                context.abort(trouble, "scripted failure")
            if trouble is not None:
                self.stopped.wait(trouble)
            return self._answer(request)
        finally:
            with self._lock:
                self._now -= 1

    def _answer(self, request: pb.ModelInferRequest) -> Any:
        shape = list(request.inputs[0].shape)
        images = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(shape)
        found = probabilities(images)
        if any("classification" in output.parameters for output in request.outputs):
            return self._classification(found[0])
        answer = pb.ModelInferResponse(model_name=MODEL, model_version=self.script.version)
        for name, values in (("logits", np.log(found)), ("probabilities", found)):
            answer.outputs.add(name=name, datatype="FP32", shape=values.shape)
            answer.raw_output_contents.append(values.astype("<f4").tobytes())
        if self.script.spoil is not None:
            self.script.spoil(answer)
        return answer

    def _classification(self, found: np.ndarray) -> Any:
        """Triton's classification extension: most probable first, `value:index` or `value:index:label`."""
        order = np.argsort(-found, kind="stable")
        labels = self.script.labels
        entries = [f"{found[i]:f}:{i}" + (f":{labels[i]}" if labels else "") for i in order]
        answer = pb.ModelInferResponse(model_name=MODEL, model_version=self.script.version)
        answer.outputs.add(name="probabilities", datatype="BYTES", shape=[1, len(entries)])
        answer.raw_output_contents.append(b"".join(len(s).to_bytes(4, "little") + s.encode() for s in entries))
        return answer


@contextmanager
def serving(script: Script) -> Iterator[ServerAddress]:
    """Serves the script's model on a free port of this machine."""
    servicer = Servicer(script)
    server = grpc.server(ThreadPoolExecutor(8))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield ServerAddress(f"127.0.0.1:{port}", MODEL)
    finally:
        servicer.stopped.set()
        server.stop(None).wait()
