"""Minimal KServe v2 server on loopback, to separate the cost of the transport from that of a full server.

    python benchmarks/kserve_server.py bundles/demo --precision int8 --port 8101

Prints `serving` when it is listening and serves until killed. `--empty` returns zeros without an engine.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock, Semaphore
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.images.preprocess import Image
from ssr_edge.runners.base import Outputs, Runner
from ssr_edge.runners.choose import open_runner

SLOTS = 2


class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Serves one model, `breast`. runner: None to return zeros."""

    def __init__(self, runner: Runner | None) -> None:
        self._runner = runner
        self._free, self._submitting = Semaphore(SLOTS), Lock()

    def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Server metadata, without extensions."""
        return pb.ServerMetadataResponse(name="minimal gRPC", version=grpc.__version__)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Model metadata with a bundle's tensors."""
        tensor = pb.ModelMetadataResponse.TensorMetadata
        outputs = [tensor(name=name, datatype="FP32", shape=[-1, len(CLASSES)]) for name in ("logits", "probabilities")]
        images = tensor(name="images", datatype="UINT8", shape=[-1, 224, 224, 3])
        return pb.ModelMetadataResponse(name=request.name, inputs=[images], outputs=outputs)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Runs the engine."""
        images = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(request.inputs[0].shape)
        found = self._infer(images)
        answer = pb.ModelInferResponse(model_name=request.model_name)
        for name, values in (("logits", found.logits), ("probabilities", found.probabilities)):
            answer.outputs.add(name=name, datatype="FP32", shape=values.shape)
            answer.raw_output_contents.append(values.tobytes())
        return answer

    def _infer(self, images: Image) -> Outputs:
        if self._runner is None:
            nothing = np.zeros((len(images), len(CLASSES)), np.float32)
            return Outputs(nothing, nothing)
        with self._free:
            with self._submitting:
                ticket = self._runner.submit(images)
            return self._runner.collect(ticket)


def main() -> None:
    """Serves until killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--port", type=int, default=8101)
    parser.add_argument("--empty", action="store_true")
    asked = parser.parse_args()
    bundle = Bundle.open(asked.bundle)
    runner = None if asked.empty else open_runner(bundle, "openvino", asked.precision, slots=SLOTS)
    server = grpc.server(ThreadPoolExecutor(2 * SLOTS))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(runner), server)
    server.add_insecure_port(f"127.0.0.1:{asked.port}")
    server.start()
    print("serving", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
