"""The TensorRT runners on the contract double, compared with ONNX Runtime; and their errors."""

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import EngineEntry
from ssr_edge.common.errors import BundleError, RuntimeUnavailable, SsrEdgeError, UsageError
from ssr_edge.common.install_hint import install_hint
from ssr_edge.runners.base import Outputs
from ssr_edge.runners.choose import open_runner
from ssr_edge.runners.tensorrt import cuda
from ssr_edge.runners.tensorrt.runner import TensorRtRunner
from tests.doubles.api import RTX, TENSORRT, VERSIONS, load
from tests.doubles.install import fake_plan, install, tiny_network, write_bundle
from tests.doubles.machine import Machine
from tests.doubles.pycuda import make_modules

LARGEST = 4
BUFFERS = LARGEST * (224 * 224 * 3 + 8 * 4 + 8 * 4)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "tiny.onnx"
    onnx.save(tiny_network(), path)
    return path


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A GPU on which every test must free everything."""
    machine = Machine(capability=(8, 9))
    yield machine
    machine.demand_clean()


def runtime_of(version: str) -> str:
    return "tensorrt-rtx" if version == RTX else "tensorrt"


def entry_for(for_version: str, name: str = "tiny.plan", /, **changes: Any) -> EngineEntry:
    fields: dict[str, Any] = {
        "file": f"engines/{name}",
        "runtime": runtime_of(for_version),
        "version": load(for_version).version,
        "device": "portable" if for_version == RTX else "sm_89",
        "precision": "fp32",
        "model": "model.fp32.onnx",
        "batch": (1, 2, LARGEST),
        "build_seconds": 0,
    }
    return EngineEntry(**{**fields, **changes})


def make_bundle(path: Path, network: Path, entry: EngineEntry, **plan: Any) -> Bundle:
    return write_bundle(path / "bundle", tiny_network(), [(entry, fake_plan(network, entry.batch, **plan))])


@pytest.fixture
def bundle(tmp_path: Path, network: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle for TensorRT 10.13.3, which is installed for the test."""
    install(monkeypatch, "10.13.3", machine)
    return make_bundle(tmp_path, network, entry_for("10.13.3"))


def images(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 224, 224, 3), dtype=np.uint8)


def expect(network: Path, given: npt.NDArray[np.uint8], outputs: Outputs) -> None:
    """ONNX Runtime's results, up to the last bits."""
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    logits, probabilities = session.run(["logits", "probabilities"], {"images": given})
    assert outputs.logits.dtype == outputs.probabilities.dtype == np.float32
    np.testing.assert_allclose(outputs.logits, logits, rtol=0, atol=1e-5)
    np.testing.assert_allclose(outputs.probabilities, probabilities, rtol=0, atol=1e-6)
    assert np.ptp(logits) > 0.5


@pytest.mark.parametrize("version", VERSIONS)
def test_results_equal_onnxruntime(
    version: str, tmp_path: Path, network: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, version, machine)
    bundle = make_bundle(tmp_path, network, entry_for(version))
    with open_runner(bundle, runtime_of(version), "fp32", slots=2) as runner:
        assert (runner.name, runner.version) == (f"{runtime_of(version)}-fp32", load(version).version)
        assert (runner.device, runner.origin) == ("Double RTX (sm_89)", "engines/tiny.plan")
        assert (runner.max_batch, runner.slots) == (LARGEST, 2)
        for count in (1, 3, LARGEST, 1):
            expect(network, images(count, count), runner.infer(images(count, count)))
        assert sum(type(held).__name__ == "IRuntimeCache" for held in machine.objects) == (version == RTX)
    made = "context WHOLE_GRAPH_CAPTURE cache" if version == RTX else "context None"
    assert [event for event, _ in machine.events if event.startswith("context")] == [made] * 2


def test_slots_overlap(bundle: Bundle, network: Path, machine: Machine) -> None:
    with TensorRtRunner(bundle, "fp32", slots=2) as runner:
        first, second = runner.submit(images(2, 1)), runner.submit(images(3, 2))
        # Nothing has run: everything is queued, each call on its own stream, in the required order.
        assert [queue.names() for queue in machine.queues.values()] == [
            ["upload", "execute", "download", "download"]
        ] * 2
        assert "synchronize" not in [event for event, _ in machine.events]
        expect(network, images(3, 2), runner.collect(second))
        assert sorted(len(queue.steps) for queue in machine.queues.values()) == [0, 4]
        expect(network, images(2, 1), runner.collect(first))


@pytest.mark.parametrize("seed", range(3))
def test_results_belong_to_their_tickets_in_any_order(seed: int, bundle: Bundle, network: Path) -> None:
    draw = random.Random(seed)
    waiting: dict[int, int] = {}
    done: dict[int, Outputs] = {}
    with TensorRtRunner(bundle, "fp32", slots=3) as runner:
        for call in range(12):
            if len(waiting) == 3:
                ticket = draw.choice(list(waiting))
                done[waiting.pop(ticket)] = runner.collect(ticket)
            given = images(1 + call % LARGEST, call)
            waiting[runner.submit(given)] = call
            given[:] = 0
        done.update({call: runner.collect(ticket) for ticket, call in waiting.items()})
    # Checked at the end: an earlier result must not share a buffer that a later call wrote.
    for call, outputs in done.items():
        expect(network, images(1 + call % LARGEST, call), outputs)


@pytest.mark.parametrize("opened_there", [False, True])
def test_another_thread_may_use_it(opened_there: bool, bundle: Bundle, network: Path, machine: Machine) -> None:
    results: list[Outputs] = []
    left: list[int] = []

    def work() -> None:
        runner = here or TensorRtRunner(bundle, "fp32", slots=2)
        results.append(runner.infer(images(2)))
        runner.close()
        left.append(len(machine.contexts))

    here = None if opened_there else TensorRtRunner(bundle, "fp32", slots=2)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    expect(network, images(2), results[0])
    # A thread that ends with a context on pycuda's stack crashes the process.
    assert left == [0]


def test_close_waits_for_open_tickets_and_may_be_repeated(bundle: Bundle, machine: Machine) -> None:
    runner = TensorRtRunner(bundle, "fp32", slots=2)
    runner.submit(images(2))
    runner.close()
    runner.close()
    machine.demand_clean()
    assert [event for event, _ in machine.events].count("execute") == 1


REFUSED = {
    "version": ({"version": "10.3.0"}, ["engines/tiny.plan", "tensorrt 10.3.0", "sm_89"]),
    "device": ({"device": "sm_87"}, ["engines/tiny.plan", "tensorrt 10.13.3.9", "sm_87"]),
    "prefix": ({"device": "sm_8"}, ["engines/tiny.plan", "tensorrt 10.13.3.9", "sm_8"]),
    "precision": ({"precision": "int8"}, ["bundle", "tensorrt", "fp32"]),
    "runtime": ({"runtime": "tensorrt-rtx"}, ["bundle", "tensorrt", "fp32"]),
}


@pytest.mark.parametrize(("changes", "found"), REFUSED.values(), ids=REFUSED)
def test_engine_for_something_else_is_never_deserialized(
    changes: dict[str, str], found: list[str], bundle: Bundle, network: Path, machine: Machine
) -> None:
    other = write_bundle(bundle.path, tiny_network(), [(entry_for("10.13.3", **changes), fake_plan(network))])
    with pytest.raises(BundleError) as refused:
        TensorRtRunner(other, "fp32")
    assert [part for part in found if part not in refused.value.found] == []
    for part in ("tensorrt 10.13.3.9", "sm_89", "Double RTX"):
        assert part in refused.value.expected
    assert refused.value.next_step == "ssr-edge build-engine --runtime tensorrt --precision fp32"
    assert machine.deserialized == 0


FITTING = {
    "short version": ({"version": "10.13.3"}, {}),
    "version-compatible": ({"version": "10.3.0", "options": {"version_compatible": "true"}}, {"host_code": True}),
    "ampere and later": ({"device": "sm_80", "options": {"hardware_compatibility": "ampere_plus"}}, {}),
    "options that ask for nothing": (
        {"options": {"hardware_compatibility": "none", "version_compatible": "false"}},
        {},
    ),
}


@pytest.mark.parametrize(("changes", "plan"), FITTING.values(), ids=FITTING)
def test_engine_that_is_not_tied(
    changes: dict[str, Any], plan: dict[str, Any], bundle: Bundle, network: Path, tmp_path: Path
) -> None:
    with TensorRtRunner(make_bundle(tmp_path, network, entry_for("10.13.3", **changes), **plan), "fp32") as runner:
        expect(network, images(1), runner.infer(images(1)))


@pytest.mark.parametrize(("device", "fits"), [("sm_86,sm_89,sm_120", True), ("sm_86,sm_120", False)])
def test_rtx_engine_lists_its_devices(
    device: str, fits: bool, tmp_path: Path, network: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, RTX, machine)
    bundle = make_bundle(tmp_path, network, entry_for(RTX, device=device))
    if fits:
        with open_runner(bundle, "tensorrt-rtx", "fp32") as runner:
            expect(network, images(1), runner.infer(images(1)))
    else:
        with pytest.raises(BundleError, match="--runtime tensorrt-rtx --precision fp32"):
            open_runner(bundle, "tensorrt-rtx", "fp32")
    assert machine.deserialized == fits


def test_takes_the_engine_that_fits_of_several(bundle: Bundle, network: Path) -> None:
    names = {"old.plan": {}, "newer.plan": {}, "jetson.plan": {"device": "sm_87"}}
    engines = [(entry_for("10.13.3", name, **changes), fake_plan(network)) for name, changes in names.items()]
    with TensorRtRunner(write_bundle(bundle.path, tiny_network(), engines), "fp32") as runner:
        assert runner.origin == "engines/newer.plan"


def test_changed_engine_is_never_deserialized(bundle: Bundle, machine: Machine) -> None:
    (bundle.path / "engines/tiny.plan").write_bytes(b"another engine")
    with pytest.raises(BundleError) as refused:
        TensorRtRunner(bundle, "fp32")
    assert "engines/tiny.plan" in refused.value.found
    assert machine.deserialized == 0


def test_engine_with_other_tensors(bundle: Bundle, tmp_path: Path, machine: Machine) -> None:
    onnx.save(tiny_network(classes=7), tmp_path / "seven.onnx")
    other = make_bundle(tmp_path, tmp_path / "seven.onnx", entry_for("10.13.3"))
    with pytest.raises(BundleError) as refused:
        TensorRtRunner(other, "fp32")
    # Checked while the error is alive: it must not keep the engine alive.
    machine.demand_clean()
    assert "logits: output float32 [-1, 7]" in refused.value.found
    assert refused.value.expected == (
        "images: input uint8 [-1, 224, 224, 3]; logits: output float32 [-1, 8]; probabilities: output float32 [-1, 8]"
    )


def test_an_engine_with_activation_maps_gives_them(
    bundle: Bundle, tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(tiny_network(cam=True), tmp_path / "cam.onnx")
    other = make_bundle(tmp_path / "with", tmp_path / "cam.onnx", entry_for("10.13.3"))
    session = onnxruntime.InferenceSession(tmp_path / "cam.onnx", providers=["CPUExecutionProvider"])
    with TensorRtRunner(other, "fp32", slots=2) as runner:
        for count in (1, LARGEST):
            given = images(count, seed=count)
            found = runner.infer(given)
            assert found.cam is not None and found.cam.shape == (count, 8, 4, 4)
            np.testing.assert_allclose(found.cam, session.run(["cam"], {"images": given})[0], rtol=0, atol=1e-4)
            np.testing.assert_allclose(found.cam.mean((2, 3)), found.logits, rtol=0, atol=1e-4)
    with TensorRtRunner(bundle, "fp32") as runner:
        assert runner.infer(images(1)).cam is None


def test_engine_that_tensorrt_refuses(bundle: Bundle, network: Path, tmp_path: Path) -> None:
    other = make_bundle(tmp_path, network, entry_for("10.13.3"), broken=True)
    with pytest.raises(BundleError) as refused:
        TensorRtRunner(other, "fp32")
    assert "engines/tiny.plan" in refused.value.found
    assert "magic tag does not match" in refused.value.found


def test_real_tensorrt_for_rtx_gives_a_reason(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = pytest.importorskip("tensorrt_rtx_bindings").__version__
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    for name, module in make_modules(machine).items():
        monkeypatch.setitem(sys.modules, name, module)
    bundle = write_bundle(tmp_path / "bundle", tiny_network(), [(entry_for(RTX, version=version), b"not an engine")])
    with pytest.raises(BundleError) as refused:
        open_runner(bundle, "tensorrt-rtx", "fp32")
    assert "engines/tiny.plan" in refused.value.found
    assert "Error Code" in refused.value.found


def test_host_code_stays_forbidden_unless_the_manifest_expects_it(
    bundle: Bundle, network: Path, tmp_path: Path
) -> None:
    other = make_bundle(tmp_path, network, entry_for("10.13.3"), host_code=True)
    with pytest.raises(BundleError, match="host code is not allowed"):
        TensorRtRunner(other, "fp32")


SCRATCH, WEIGHTS, ONE = 1 << 21, 3 << 20, 1 << 20
# The GPU's memory, and the allocation that fails. Slots allocate their scratch memory first, then their buffers.
FULL = {
    "engine": (WEIGHTS - 1, ["engines/tiny.plan", "0.0 MiB", "3.0 of 3.0 MiB", "Error Code 1: Cuda"]),
    "scratch": (ONE, ["slot 1", "2.0 MiB", "1.0 of 1.0 MiB", "out of memory"]),
    "buffer": (SCRATCH + 1, ["images", "batch of 4", "0.6 MiB", "0.0 of 2.0 MiB", "cuMemAlloc failed"]),
    "second slot": (SCRATCH + BUFFERS + ONE, ["slot 2", "2.0 MiB", "1.0 of 3.6 MiB", "out of memory"]),
}


@pytest.mark.parametrize(("memory", "found"), FULL.values(), ids=FULL)
def test_out_of_memory_names_what_and_how_much(
    memory: int, found: list[str], bundle: Bundle, network: Path, tmp_path: Path, machine: Machine
) -> None:
    weights = WEIGHTS if memory == WEIGHTS - 1 else 0
    other = make_bundle(tmp_path, network, entry_for("10.13.3"), scratch=SCRATCH, weights=weights)
    machine.memory = memory
    with pytest.raises(RuntimeUnavailable) as refused:
        TensorRtRunner(other, "fp32", slots=2)
    assert [part for part in ["Double RTX", *found] if part not in refused.value.found] == []
    assert "ssr-edge build-engine --batch 1,4,8" in refused.value.next_step
    assert "nvidia-smi" in refused.value.next_step
    # All memory was freed, although the error is still alive.
    machine.demand_clean()
    machine.memory = 2 * (BUFFERS + SCRATCH) + WEIGHTS
    TensorRtRunner(other, "fp32", slots=2).close()


def test_out_of_memory_where_no_size_is_known(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = sys.modules["pycuda.driver"]
    monkeypatch.setattr(driver, "Stream", _raise(driver.MemoryError("cuStreamCreate failed: out of memory")))
    with pytest.raises(RuntimeUnavailable) as refused:
        TensorRtRunner(bundle, "fp32")
    assert "Double RTX" in refused.value.found
    assert "cuStreamCreate failed: out of memory" in refused.value.found


def test_a_rejected_call_raises_and_leaves_the_runner_usable(bundle: Bundle, network: Path, machine: Machine) -> None:
    with TensorRtRunner(bundle, "fp32") as runner:
        machine.refuse_to_run = True
        with pytest.raises(RuntimeUnavailable) as refused:
            runner.submit(images(2, 1))
        assert "2 images" in refused.value.found
        assert "the kernel image is invalid" in refused.value.found
        machine.refuse_to_run = False
        expect(network, images(3, 2), runner.infer(images(3, 2)))


def test_a_failing_gpu(bundle: Bundle, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = sys.modules["pycuda.driver"]
    runner = TensorRtRunner(bundle, "fp32")
    ticket = runner.submit(images(1))
    with monkeypatch.context() as patch:
        patch.setattr(driver.Stream, "synchronize", _raise(driver.LaunchError("an illegal memory access")))
        with pytest.raises(RuntimeUnavailable) as refused:
            runner.collect(ticket)
    assert "Double RTX" in refused.value.found
    assert "an illegal memory access" in refused.value.found
    runner.close()


@pytest.mark.parametrize(
    "given",
    [images(LARGEST + 1), images(1)[:0], images(1).astype(np.float32), images(1)[:, :, :100], images(1)[0]],
    ids=["too many", "none", "float", "narrow", "no batch"],
)
def test_images_of_another_kind(given: npt.NDArray[Any], bundle: Bundle, machine: Machine) -> None:
    with TensorRtRunner(bundle, "fp32") as runner:
        with pytest.raises(UsageError) as refused:
            runner.submit(given)
        assert f"{given.dtype} {list(given.shape)}" in refused.value.found
        assert "uint8 ['1 to 4', 224, 224, 3]" in refused.value.expected
        assert "upload" not in [event for event, _ in machine.events]


@pytest.mark.parametrize(("runtime", "module"), [("tensorrt", "tensorrt"), ("tensorrt-rtx", "tensorrt_rtx")])
def test_missing_tensorrt(runtime: str, module: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(RuntimeUnavailable) as refused:
        open_runner(bundle, runtime, "fp32")
    assert refused.value.found.startswith(f"{module} can't be imported: ")
    assert refused.value.next_step == install_hint(runtime)


NO_CUDA = {
    "no pycuda": ("pycuda.driver", ModuleNotFoundError("No module named 'pycuda'"), install_hint("tensorrt")),
    "no driver": ("pycuda.driver", ImportError("libcuda.so.1: cannot open shared object file"), "--runtime openvino"),
    "no GPU": ("pycuda.autoprimaryctx", RuntimeError("on any of the 0 detected devices"), "--runtime openvino"),
}


@pytest.mark.parametrize(("module", "error", "command"), NO_CUDA.values(), ids=NO_CUDA)
def test_missing_cuda(
    module: str, error: Exception, command: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(name: str) -> Any:
        if name == module:
            raise error
        return sys.modules[name]

    monkeypatch.setattr(cuda, "import_module", fails)
    with pytest.raises(SsrEdgeError) as refused:
        TensorRtRunner(bundle, "fp32")
    assert isinstance(refused.value, RuntimeUnavailable)
    assert str(error) in refused.value.found
    assert command in refused.value.next_step


def _raise(error: Exception) -> Any:
    def raises(*_: Any) -> None:
        raise error

    return raises


def test_recorded_versions() -> None:
    folder = Path(__file__).parents[3] / "tensorrt_api"
    assert sorted(file.stem for file in folder.glob("*.json")) == sorted(VERSIONS)
    assert [json.loads((folder / f"{v}.json").read_text())["version"].rsplit(".", 1)[0] for v in TENSORRT[1:]] == [
        "10.13.3",
        "10.16.1",
        "11.4.0",
    ]
