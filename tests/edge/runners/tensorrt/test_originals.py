"""Images as decoded, resized on the GPU into the engine's input: the double runs the real kernel on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import EngineEntry
from ssr_edge.common.errors import BuildError, InputError, RuntimeUnavailable, SsrEdgeError, UsageError
from ssr_edge.images.preprocess import Image, decode, load
from ssr_edge.inference import read_ahead
from ssr_edge.inference.pipeline import Failure, classify
from ssr_edge.inference.prediction import Prediction
from ssr_edge.runners.base import Runner, TakesOriginals
from ssr_edge.runners.choose import open_runner
from ssr_edge.runners.tensorrt.kernel_errors import kernel_errors
from ssr_edge.runners.tensorrt.runner import TensorRtOriginalsRunner
from ssr_edge.sources.inputs import still
from tests.doubles.api import RTX, VERSIONS
from tests.doubles.api import load as load_api
from tests.doubles.host_kernels import HostKernels, noise
from tests.doubles.install import fake_plan, install, tiny_network, write_bundle
from tests.doubles.machine import Machine

pytestmark = pytest.mark.slow

LARGEST = 4
CALL = ["upload", "resize_area", "execute", "download", "download"]
# Larger, smaller, mixed, rows that are not a multiple of four bytes, one pixel.
SIZES = [(460, 700), (456, 700), (7, 5), (1, 1), (300, 100), (224, 224), (1001, 1333), (30, 31)]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "tiny.onnx"
    onnx.save(tiny_network(), path)
    return path


@pytest.fixture
def machine(host: HostKernels) -> Iterator[Machine]:
    machine = Machine(capability=(8, 9))
    machine.kernels = host
    yield machine
    machine.demand_clean()


@pytest.fixture
def make_bundle(
    tmp_path: Path, network: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Bundle]:
    """`make_bundle(version)`: a bundle for that TensorRT version, which is installed for the test."""

    def make(version: str) -> Bundle:
        install(monkeypatch, version, machine)
        entry = EngineEntry(
            file="engines/tiny.plan",
            runtime="tensorrt-rtx" if version == RTX else "tensorrt",
            version=load_api(version).version,
            device="portable" if version == RTX else "sm_89",
            precision="fp32",
            model="model.fp32.onnx",
            batch=(1, 2, LARGEST),
            build_seconds=0,
        )
        return write_bundle(tmp_path / "bundle", tiny_network(), [(entry, fake_plan(network, entry.batch))])

    return make


@pytest.fixture
def bundle(make_bundle: Callable[[str], Bundle]) -> Bundle:
    return make_bundle("10.13.3")


@pytest.fixture
def runner(bundle: Bundle) -> Iterator[Any]:
    with open_runner(bundle, "tensorrt", "fp32", slots=2, resize="gpu") as opened:
        yield opened


def originals(count: int, first: int = 0) -> list[Image]:
    return [noise(*SIZES[(first + number) % len(SIZES)], first + number) for number in range(count)]


def logits(network: Path, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    found: npt.NDArray[np.float32] = session.run(["logits"], {"images": images})[0]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_engine_sees_what_the_kernel_wrote(
    version: str, make_bundle: Callable[[str], Bundle], network: Path, host: HostKernels, machine: Machine
) -> None:
    runtime = "tensorrt-rtx" if version == RTX else "tensorrt"
    with open_runner(make_bundle(version), runtime, "fp32", resize="gpu") as runner:
        assert isinstance(runner, TakesOriginals)
        for count, first in ((1, 0), (LARGEST, 1), (2, 5)):
            images = originals(count, first)
            outputs = runner.collect(runner.submit_originals(images))
            np.testing.assert_allclose(outputs.logits, logits(network, host.resize(images)), rtol=0, atol=1e-5)
            on_the_cpu = np.stack([cv2.resize(i, (224, 224), interpolation=cv2.INTER_AREA) for i in images])
            # Tolerance: one gray level in each of three channels, times the network's largest weights.
            np.testing.assert_allclose(outputs.logits, logits(network, on_the_cpu.astype(np.uint8)), rtol=0, atol=0.1)


def test_a_call_is_one_copy_and_waits_for_nothing(runner: Any, machine: Machine) -> None:
    runner.infer(np.zeros((1, 224, 224, 3), np.uint8))
    machine.events.clear()
    tickets = [runner.submit_originals(originals(2, number)) for number in range(2)]
    assert [queue.names() for queue in machine.queues.values() if queue.steps] == [CALL] * 2
    for ticket in tickets:
        runner.collect(ticket)


def test_results_belong_to_their_tickets(runner: Any, network: Path, host: HostKernels) -> None:
    for turn in range(4):
        batches = [originals(1 + (turn + slot) % LARGEST, 3 * turn + slot) for slot in range(2)]
        expected = [logits(network, host.resize(batch)) for batch in batches]
        tickets = [runner.submit_originals(batch) for batch in batches]
        for batch in batches:
            for image in batch:
                image[:] = 0
        for slot in (turn % 2, 1 - turn % 2):
            np.testing.assert_allclose(runner.collect(tickets[slot]).logits, expected[slot], rtol=0, atol=1e-5)


def test_resized_images_are_taken_too(runner: Any, network: Path) -> None:
    images = np.stack([noise(224, 224, seed) for seed in range(3)])
    np.testing.assert_allclose(runner.infer(images).logits, logits(network, images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("count", [0, LARGEST + 1])
def test_none_or_too_many(count: int, runner: Any, machine: Machine) -> None:
    with pytest.raises(UsageError) as refused:
        runner.submit_originals(originals(count))
    assert "tiny.plan" in refused.value.found
    assert f"{count} originals" in refused.value.found
    assert "upload" not in [event for event, _ in machine.events]


def test_originals_without_room_are_named_and_cost_nothing_else(
    runner: Any, machine: Machine, network: Path, host: HostKernels
) -> None:
    machine.memory = machine.used() + (1 << 20)
    with pytest.raises(RuntimeUnavailable) as refused:
        runner.submit_originals([noise(1000, 1000)])
    assert refused.value.found.startswith("Double RTX is out of memory: ")
    for part in ("the originals of a batch, 2.9 MiB", "1.0 of ", "cuMemAlloc failed"):
        assert part in refused.value.found
    assert "infer --batch 1" in refused.value.next_step
    images = originals(1, 4)
    found = runner.collect(runner.submit_originals(images)).logits
    np.testing.assert_allclose(found, logits(network, host.resize(images)), rtol=0, atol=1e-5)


def test_a_rejected_call_leaves_the_runner_usable(
    runner: Any, machine: Machine, network: Path, host: HostKernels
) -> None:
    machine.refuse_to_run = True
    with pytest.raises(RuntimeUnavailable) as refused:
        runner.submit_originals(originals(2))
    assert "2 images" in refused.value.found
    machine.refuse_to_run = False
    images = originals(3)
    found = runner.collect(runner.submit_originals(images)).logits
    np.testing.assert_allclose(found, logits(network, host.resize(images)), rtol=0, atol=1e-5)


def test_close_waits_for_open_tickets(bundle: Bundle, machine: Machine) -> None:
    runner = TensorRtOriginalsRunner(bundle, "fp32", slots=2)
    runner.submit_originals(originals(2))
    runner.close()
    machine.demand_clean()


def test_the_kernel_is_compiled_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from ssr_kernels import compile as compiler

    compiler.compile_kernel.cache_clear()
    TensorRtOriginalsRunner(bundle, "fp32", slots=3).close()
    assert compiler.compile_kernel.cache_info().misses == 1


def test_an_unsupported_original_is_an_input_error(runner: Any, machine: Machine) -> None:
    with pytest.raises(InputError) as refused:
        runner.submit_originals([noise(9, 9), noise(9, 9).astype(np.float32)])
    assert "image 1 " in refused.value.found
    assert "float32 [9, 9, 3]" in refused.value.found
    assert "uint8" in refused.value.expected
    assert "ssr_edge.images.preprocess.decode" in refused.value.next_step
    assert "upload" not in [event for event, _ in machine.events]


def test_without_a_compiler_the_runtime_is_unavailable(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from ssr_kernels import compile as compiler

    monkeypatch.setitem(sys.modules, "cuda.bindings.nvrtc", None)
    compiler.compile_kernel.cache_clear()
    with pytest.raises(RuntimeUnavailable) as refused:
        TensorRtOriginalsRunner(bundle, "fp32")
    assert "NVRTC" in refused.value.found
    assert "pip install cuda-bindings" in refused.value.next_step


def test_a_kernel_that_does_not_compile_is_a_build_error(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from ssr_kernels import compile as compiler

    monkeypatch.setattr(compiler, "_import_nvrtc", lambda: Nvrtc)
    compiler.compile_kernel.cache_clear()
    with pytest.raises(BuildError) as refused:
        TensorRtOriginalsRunner(bundle, "fp32")
    assert "NVRTC_ERROR_OUT_OF_MEMORY" in refused.value.found
    assert "sm_87" in refused.value.expected
    assert "nvidia-cuda-nvrtc" in refused.value.next_step


class Nvrtc:
    """NVRTC's bindings, failing at the first call."""

    nvrtcResult = SimpleNamespace(NVRTC_SUCCESS=0)  # noqa: N815

    @staticmethod
    def nvrtcCreateProgram(*_: Any) -> tuple[int]:  # noqa: N802
        return (1,)

    @staticmethod
    def nvrtcGetErrorString(status: int) -> tuple[int, bytes]:  # noqa: N802
        return 0, b"NVRTC_ERROR_OUT_OF_MEMORY"


def test_every_kernel_error_is_mapped() -> None:
    from ssr_kernels.errors import KernelError

    for kind in KernelError.__subclasses__():
        with pytest.raises(SsrEdgeError) as mapped, kernel_errors(None):
            raise kind("found", expected="expected", next_step="next")
        assert (mapped.value.found, mapped.value.expected, mapped.value.next_step) == ("found", "expected", "next")


def test_only_the_runner_that_was_asked_to_takes_originals(bundle: Bundle) -> None:
    with open_runner(bundle, "tensorrt", "fp32") as runner:
        assert not isinstance(runner, TakesOriginals)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_others_refuse(runtime: str, bundle: Bundle) -> None:
    with pytest.raises(UsageError) as refused:
        open_runner(bundle, runtime, "fp32", resize="gpu")
    assert runtime in refused.value.found
    assert "tensorrt or tensorrt-rtx" in refused.value.expected
    assert "--resize cpu" in refused.value.next_step


@pytest.fixture
def mixed(tmp_path: Path, demo_images: list[Path]) -> list[Path]:
    """Nine images of three sizes, with unreadable ones between them."""
    small, odd, empty = tmp_path / "small.png", tmp_path / "odd.png", tmp_path / "empty.png"
    cv2.imwrite(str(small), noise(60, 61))
    cv2.imwrite(str(odd), noise(333, 1001))
    empty.touch()
    return [empty, *demo_images[:4], small, tmp_path / "missing.png", odd, *demo_images[4:7], empty]


def check(runner: Runner, paths: list[Path], network: Path, resized: Callable[[Path], Image]) -> None:
    results = list(classify(map(still, paths), runner, 3, threads=2))
    assert [result.source for result in results] == [str(path) for path in paths]
    for path, result in zip(paths, results, strict=True):
        if path.name in ("empty.png", "missing.png"):
            assert isinstance(result, Failure)
            continue
        assert isinstance(result, Prediction)
        scores = np.exp(logits(network, resized(path)[None])[0].astype(np.float64))
        np.testing.assert_allclose(result.probabilities, scores / scores.sum(), atol=1e-5)


def test_pipeline_hands_over_what_was_decoded(
    runner: Any, mixed: list[Path], network: Path, host: HostKernels, machine: Machine
) -> None:
    check(runner, mixed, network, lambda path: host.resize([decode(path)])[0])
    # A batch that waits too long for its next image is submitted with fewer.
    assert [event for event, _ in machine.events].count("resize_area") >= 3


def test_pipeline_resizes_the_largest_itself(
    runner: Any, mixed: list[Path], network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "LARGEST_ORIGINAL", 60 * 61 - 1)
    # The kernel copies an image that already has the target size: the result is OpenCV's resize, bit for bit.
    check(runner, mixed, network, load)


def test_an_early_end_leaves_the_runner_free(runner: Any, demo_images: list[Path]) -> None:
    results = classify(map(still, demo_images), runner, 2, threads=2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    tickets = [runner.submit_originals(originals(1)) for _ in range(2)]
    assert [runner.collect(ticket).logits.shape for ticket in tickets] == [(1, 8), (1, 8)]
