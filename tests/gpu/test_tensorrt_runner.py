"""The TensorRT runners on a real GPU, with freshly built engines of a tiny network, compared with ONNX Runtime."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import EngineEntry
from ssr_edge.common.errors import BundleError
from ssr_edge.runners.base import Outputs, Runner
from ssr_edge.runners.choose import open_runner
from ssr_edge.runners.tensorrt.cuda import open_cuda
from ssr_edge.runners.tensorrt.engine import import_tensorrt
from ssr_edge.runners.tensorrt.slot import listen
from tests.doubles.install import tiny_network, write_bundle

pytestmark = pytest.mark.gpu

BATCH = (1, 2, 4)


def build_plan(trt: Any) -> bytes:
    """Builds the tiny network's engine, for this GPU or for RTX's portable default."""
    log = listen(trt)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    assert parser.parse(tiny_network().SerializeToString()), log.last_error()
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape("images", *((count, 224, 224, 3) for count in BATCH))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, log.last_error()
    return bytes(plan)


@pytest.fixture(scope="module")
def bundle(runtime: str, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    trt, cuda = import_tensorrt(runtime), open_cuda(runtime)
    with cuda.current():
        plan = build_plan(trt)
    entry = EngineEntry(
        file="engines/tiny.plan",
        runtime=runtime,
        version=trt.__version__,
        device="portable" if runtime == "tensorrt-rtx" else cuda.architecture,
        precision="fp32",
        model="model.fp32.onnx",
        batch=BATCH,
        build_seconds=0,
    )
    return write_bundle(tmp_path_factory.mktemp("gpu") / "bundle", tiny_network(), [(entry, plan)])


def images(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 224, 224, 3), dtype=np.uint8)


def expect(bundle: Bundle, given: npt.NDArray[np.uint8], outputs: Outputs) -> None:
    session = onnxruntime.InferenceSession(bundle.file("model.fp32.onnx"), providers=["CPUExecutionProvider"])
    logits, probabilities = session.run(["logits", "probabilities"], {"images": given})
    # TensorRT may multiply FP32 matrices in TF32, which keeps ten bits.
    np.testing.assert_allclose(outputs.logits, logits, rtol=0, atol=2e-3 * np.abs(logits).max())
    np.testing.assert_allclose(outputs.probabilities, probabilities, rtol=0, atol=1e-2)


def test_batches(bundle: Bundle, runtime: str) -> None:
    with open_runner(bundle, runtime, "fp32") as runner:
        assert runner.max_batch == BATCH[-1]
        for count in (1, 3, 4, 1):
            expect(bundle, images(count, count), runner.infer(images(count, count)))


def test_slots_in_any_order(bundle: Bundle, runtime: str) -> None:
    with open_runner(bundle, runtime, "fp32", slots=3) as runner:
        for turn in range(20):
            tickets = {runner.submit(images(1 + slot, turn + slot)): slot for slot in range(3)}
            for ticket in sorted(tickets, key=lambda ticket: (ticket * 7 + turn) % 3):
                expect(bundle, images(1 + tickets[ticket], turn + tickets[ticket]), runner.collect(ticket))


def test_another_thread(bundle: Bundle, runtime: str) -> None:
    results = []

    def work(opened: Runner | None) -> None:
        with opened or open_runner(bundle, runtime, "fp32") as runner:
            results.append(runner.infer(images(2)))

    for opened in (open_runner(bundle, runtime, "fp32"), None):
        thread = threading.Thread(target=work, args=(opened,))
        thread.start()
        thread.join()
        expect(bundle, images(2), results.pop())


def test_memory_is_given_back(bundle: Bundle, runtime: str) -> None:
    cuda = open_cuda(runtime)

    def free_after_a_run() -> int:
        with open_runner(bundle, runtime, "fp32", slots=4) as runner:
            runner.infer(images(4))
        with cuda.current():
            return int(cuda.driver.mem_get_info()[0])

    # The first runs load kernels that stay; later ones must leave nothing.
    free = [free_after_a_run() for _ in range(6)]
    assert free[-1] >= free[2] - (4 << 20)


def test_engine_of_another_version(bundle: Bundle, runtime: str) -> None:
    other = bundle.manifest.model_copy(deep=True)
    other.engines[0].version = "9.9.9"
    with pytest.raises(BundleError, match=r"9\.9\.9"):
        open_runner(Bundle(bundle.path, other), runtime, "fp32")
