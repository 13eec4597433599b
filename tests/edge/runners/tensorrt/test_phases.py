"""The phases of a TensorRT call, on the contract double, whose steps have distinct durations."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from ssr_edge.bench.measure.phases import time_phases
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import EngineEntry
from ssr_edge.common.errors import RuntimeUnavailable, UsageError
from ssr_edge.runners.base import TimesPhases
from ssr_edge.runners.choose import open_runner
from ssr_edge.runners.openvino.runner import OpenVinoRunner
from ssr_edge.runners.tensorrt.runner import TensorRtRunner
from tests.doubles.api import RTX, VERSIONS, load
from tests.doubles.install import fake_plan, install, tiny_network, write_bundle
from tests.doubles.machine import ContractViolation, Machine


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A GPU on which every test must free everything."""
    machine = Machine(capability=(8, 9))
    yield machine
    machine.demand_clean()


@pytest.fixture
def bundle_for(tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Bundle]:
    """Installs a version of TensorRT and writes a bundle for it."""

    def make(version: str) -> Bundle:
        install(monkeypatch, version, machine)
        onnx.save(tiny_network(), tmp_path / "tiny.onnx")
        entry = EngineEntry(
            file="engines/tiny.plan",
            runtime="tensorrt-rtx" if version == RTX else "tensorrt",
            version=load(version).version,
            device="portable" if version == RTX else "sm_89",
            precision="fp32",
            model="model.fp32.onnx",
            batch=(1, 2, 4),
            build_seconds=0,
        )
        return write_bundle(tmp_path / "bundle", tiny_network(), [(entry, fake_plan(tmp_path / "tiny.onnx"))])

    return make


def images(count: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (count, 224, 224, 3), dtype=np.uint8)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_phase_is_that_of_its_steps(version: str, bundle_for: Callable[[str], Bundle], machine: Machine) -> None:
    bundle = bundle_for(version)
    machine.step_ms = {"upload": 0.25, "execute": 2.0, "download": 0.0625}
    with open_runner(bundle, bundle.manifest.engines[0].runtime, "fp32") as runner:
        assert isinstance(runner, TimesPhases)
        expected = runner.infer(images(3))
        for count in (1, 4):
            phases = runner.phases(images(count))
            # Two copies come back: logits and probabilities.
            assert (phases.h2d_ms, phases.compute_ms, phases.d2h_ms) == (0.25, 2.0, 0.125)
            assert 0 < phases.enqueue_ms < 1000
        # The slot is free again, and as it was.
        np.testing.assert_array_equal(runner.infer(images(3)).logits, expected.logits)


def test_the_steps_are_those_of_a_call_without_it(bundle_for: Callable[[str], Bundle], machine: Machine) -> None:
    with TensorRtRunner(bundle_for("10.13.3"), "fp32") as runner:
        machine.events.clear()
        runner.infer(images(2))
        plain = list(machine.events)
        machine.events.clear()
        runner.phases(images(2))
        assert machine.events == plain
        assert [name for name, _ in plain] == ["upload", "execute", "download", "download", "synchronize"]


def test_the_benchmark_takes_them_at_each_batch(bundle_for: Callable[[str], Bundle]) -> None:
    with TensorRtRunner(bundle_for("10.13.3"), "fp32") as runner:
        rows = time_phases(runner, images(6), [1, 4], 3)
    assert [(row.batch, row.phases.compute_ms) for row in rows] == [(1, 2.0), (4, 2.0)]


def test_a_plain_call_makes_no_event(
    bundle_for: Callable[[str], Bundle], machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TensorRtRunner(bundle_for("10.13.3"), "fp32") as runner:
        monkeypatch.delattr("pycuda.driver.Event")
        runner.infer(images(1))
        with pytest.raises(AttributeError):
            runner.phases(images(1))


def test_a_failed_call_leaves_the_runner_usable(bundle_for: Callable[[str], Bundle], machine: Machine) -> None:
    with TensorRtRunner(bundle_for("10.13.3"), "fp32") as runner:
        with pytest.raises(UsageError, match=r"uint8 \[5, 224, 224, 3\]"):
            runner.phases(images(5))
        machine.refuse_to_run = True
        with pytest.raises(RuntimeUnavailable, match="the kernel image is invalid"):
            runner.phases(images(1))
        machine.refuse_to_run = False
        assert runner.phases(images(1)).compute_ms == 2.0


def test_it_waits_for_no_other_slot(bundle_for: Callable[[str], Bundle], machine: Machine) -> None:
    with TensorRtRunner(bundle_for("10.13.3"), "fp32", slots=2) as runner:
        ticket = runner.submit(images(2))
        assert runner.phases(images(1)).h2d_ms == 0.25
        assert sorted(len(queue.steps) for queue in machine.queues.values()) == [0, 4]
        assert np.isfinite(runner.collect(ticket).logits).all()


def test_a_runner_on_the_processor_has_no_phases() -> None:
    assert not issubclass(OpenVinoRunner, TimesPhases)


def test_the_double_holds_events_to_their_contract(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "10.13.3", machine)
    cuda: Any = importlib.import_module("pycuda.driver")
    stream, other = cuda.Stream(), cuda.Stream()
    memory, host = cuda.mem_alloc(4), cuda.pagelocked_empty(4, np.uint8)
    host[:] = 0
    begun, done, without_time = cuda.Event(), cuda.Event(), cuda.Event(cuda.event_flags.DISABLE_TIMING)
    begun.record(stream)
    cuda.memcpy_htod_async(memory, host, stream)
    with pytest.raises(ContractViolation, match="never recorded"):
        done.time_since(begun)
    done.record(stream)
    without_time.record(stream)
    with pytest.raises(cuda.LogicError, match="device not ready"):
        done.time_since(begun)
    stream.synchronize()
    assert done.time_since(begun) == machine.step_ms["upload"]
    with pytest.raises(ContractViolation, match="without timing"):
        without_time.time_since(begun)
    done.record(other)
    with pytest.raises(ContractViolation, match="of two streams"):
        done.time_since(begun)
    memory.free()
    host.base.free()
