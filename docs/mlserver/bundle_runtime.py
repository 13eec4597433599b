"""MLServer runtime that serves a bundle. model-settings.json in this folder names this class and the bundle."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.runners.choose import choose_precision, choose_runtime, open_runner

# Concurrent calls: one computes while the next is unpacked.
SLOTS = 2


class BundleRuntime(MLModel):
    """Runs the engine that `ssr-edge infer` would choose. parameters.uri: the bundle's folder."""

    async def load(self) -> bool:
        """Opens the engine."""
        bundle = Bundle.open(Path(self.settings.parameters.uri))
        precision = choose_precision(bundle, self.settings.parameters.extra.get("precision"))
        runtime, _ = choose_runtime(bundle, "auto", precision)
        self._runner = open_runner(bundle, runtime, precision, slots=SLOTS)
        self._free = asyncio.Semaphore(SLOTS)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Takes images, uint8 BGR [n, 224, 224, 3]; returns logits and probabilities, float32 [n, 8]."""
        images = NumpyCodec.decode_input(payload.inputs[0])
        async with self._free:
            ticket = self._runner.submit(images)
            found = await asyncio.to_thread(self._runner.collect, ticket)
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=[
                NumpyCodec.encode_output("logits", found.logits),
                NumpyCodec.encode_output("probabilities", found.probabilities),
            ],
        )

    async def unload(self) -> bool:
        """Releases the engine."""
        self._runner.close()
        return True
