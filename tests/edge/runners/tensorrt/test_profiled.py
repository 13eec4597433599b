"""Layer times of a TensorRT engine, on the contract double."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from ssr_edge.bench.measure.engines import EngineSpec
from ssr_edge.bench.profile.layers import LayerTime
from ssr_edge.bench.profile.runtimes.choose import profile_engine
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import EngineEntry
from ssr_edge.runners.tensorrt.profiled import ProfiledTensorRtRunner
from tests.doubles.api import RTX, VERSIONS, load
from tests.doubles.install import fake_plan, install, tiny_network, write_bundle
from tests.doubles.machine import ContractViolation, Machine

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
LAYERS = [
    ("Reformatting CopyNode for Input Tensor 0 to stem", 0.25),
    ("stem", 1.5),
    ("classifier + node_softmax", 0.5),
    ("__myl_Move_myl0_3", 0.125),
]


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A GPU on which every test must free everything."""
    machine = Machine(capability=(8, 9))
    yield machine
    machine.demand_clean()


def _runtime(version: str) -> str:
    return "tensorrt-rtx" if version == RTX else "tensorrt"


def _bundle(path: Path, version: str) -> Bundle:
    network = tiny_network()
    for node in network.graph.node:
        node.name = {"ReduceMean": "stem", "MatMul": "classifier"}.get(node.op_type, f"node_{node.op_type.lower()}")
    onnx.save(network, path / "tiny.onnx")
    entry = EngineEntry(
        file="engines/tiny.plan",
        runtime=_runtime(version),
        version=load(version).version,
        device="portable" if version == RTX else "sm_89",
        precision="fp32",
        model="model.fp32.onnx",
        batch=(1, 2, 4),
        build_seconds=0,
    )
    return write_bundle(path / "bundle", network, [(entry, fake_plan(path / "tiny.onnx", layers=LAYERS))])


@pytest.mark.parametrize("version", VERSIONS)
def test_layers_times_blocks_and_kinds(
    version: str, tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, version, machine)
    bundle = _bundle(tmp_path, version)
    profile = profile_engine(EngineSpec(_runtime(version), "fp32", str(bundle.path)), IMAGES, 4)
    assert profile.calls == 4
    assert profile.layers == [
        LayerTime(LAYERS[0][0], "Reformatting", "stem", 0.25, ""),
        LayerTime("stem", "ReduceMean", "stem", 1.5, ""),
        LayerTime("classifier + node_softmax", "MatMul", "classifier", 0.5, ""),
        LayerTime("__myl_Move_myl0_3", "__myl_Move_myl0_3", "other", 0.125, ""),
    ]
    # An engine that runs as one CUDA graph reports nothing.
    assert "context None" in {event for event, _ in machine.events}


def test_the_results_are_those_of_the_engine(tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "10.13.3", machine)
    bundle = _bundle(tmp_path, "10.13.3")
    with ProfiledTensorRtRunner(bundle, "tensorrt", "fp32") as runner:
        outputs = runner.infer(IMAGES)
        assert runner.layer_times == LAYERS
        runner.infer(IMAGES)
        assert runner.layer_times == 2 * LAYERS
    np.testing.assert_allclose(outputs.probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_double_holds_a_profiler_to_its_contract(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt = install(monkeypatch, "10.13.3", machine)
    bundle = _bundle(tmp_path, "10.13.3")

    class Silent(trt.IProfiler):  # type: ignore[misc,name-defined]
        pass

    with ProfiledTensorRtRunner(bundle, "tensorrt", "fp32") as runner:
        (slot,) = runner._slots
        with pytest.raises(ContractViolation, match="takes an IProfiler"):
            slot.report_layers(object())
        silent = Silent()
        slot.report_layers(silent)
        with pytest.raises(ContractViolation, match="must override report_layer_time"):
            runner.infer(IMAGES)
        slot.report_layers(Silent())
        with pytest.raises(ContractViolation, match="dropped before the context"):
            runner.infer(IMAGES)
