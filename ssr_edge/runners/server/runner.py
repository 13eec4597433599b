"""Runs images on a KServe v2 (Open Inference Protocol) server over gRPC, e.g. Triton or MLServer."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, InferResult

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import ServerError
from ssr_edge.images.preprocess import Image
from ssr_edge.runners.base import Outputs, Runner
from ssr_edge.runners.server.address import RetryPolicy, ServerAddress
from ssr_edge.runners.server.model import image_input, inspect_model
from ssr_edge.runners.server.retry import LONGEST_PAUSE_S, Retries
from ssr_edge.runners.tensors import CAM

RUNTIME = "server"
# Reconnects about as often as requests are retried: gRPC's default backoff grows to two minutes, and requests sent
# meanwhile fail immediately.
_CHANNEL = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", int(LONGEST_PAUSE_S * 1000))]


class ServerRunner(Runner):
    """A model on a server. Each slot is a thread that sends one request at a time, with retries.

    `precision` is the model's name, because the server does not report the precision. All requests go to the model
    version that answered first: if the model is replaced, the run ends.

    Raises:
        ServerError: no answer, no such model, or its tensors or classes differ from a bundle's; from `collect`, if the
            server stops answering.
    """

    def __init__(self, address: ServerAddress, slots: int = 1, retry_policy: RetryPolicy | None = None) -> None:
        retry_policy = retry_policy or RetryPolicy()
        self._address = address
        self._client = InferenceServerClient(address.target, channel_args=_CHANNEL)
        try:
            self._model = inspect_model(self._client, address, retry_policy.deadline_s)
        except BaseException:
            self._client.close()
            raise
        self.runtime, self.precision, self.slots = RUNTIME, address.model, slots
        self.version = f"{self._model.server}, model version {self._model.version or 'unknown'}"
        self.device, self.max_batch = address.server, self._model.max_batch
        self.origin = f"served by {self.version}"
        self._retries = Retries(address, retry_policy)
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="request")
        self._open: dict[int, Future[Outputs]] = {}
        self._tickets = 0

    def submit(self, images: Image) -> int:
        """See Runner."""
        self._tickets += 1
        self._open[self._tickets] = self._threads.submit(self._request, images)
        return self._tickets

    def collect(self, ticket: int) -> Outputs:
        """See Runner."""
        try:
            return self._open.pop(ticket).result()
        except KeyboardInterrupt:
            # Nobody waits for the other tickets either.
            self._abandon()
            raise

    def close(self) -> None:
        """See Runner."""
        self._abandon()
        self._threads.shutdown(cancel_futures=True)
        self._open.clear()

    def _abandon(self) -> None:
        self._retries.give_up()
        self._client.close()

    def _request(self, images: Image) -> Outputs:
        answer = self._retries.call(partial(self._send, image_input(images)))
        return self._read(answer, len(images))

    def _send(self, images: InferInput, deadline_s: float) -> InferResult:
        return self._client.infer(
            self._address.model,
            [images],
            model_version=self._model.version,
            outputs=[InferRequestedOutput(name) for name in self._model.outputs],
            client_timeout=deadline_s,
        )

    def _read(self, answer: InferResult, images: int) -> Outputs:
        try:
            found = {name: answer.as_numpy(name) for name in self._model.outputs}
        except ValueError as error:  # fewer bytes than the shape requires
            raise self._misread(str(error)) from error
        for name in ("logits", "probabilities"):
            values = found[name]
            if values is None or values.shape != (images, len(CLASSES)) or values.dtype != np.float32:
                raise self._misread("no " + name if values is None else f"{name} {values.dtype} {list(values.shape)}")
        return Outputs(found["logits"], found["probabilities"], found.get(CAM))

    def _misread(self, what: str) -> ServerError:
        return ServerError(
            f"{self._address.server}: the answer of {self._address.model} does not match its metadata: {what}",
            expected=f"logits and probabilities, FP32 [images, {len(CLASSES)}]",
            next_step="check the server's log; see docs/server.md for the model that it must serve",
        )
