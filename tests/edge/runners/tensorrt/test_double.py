"""The contract double must detect misuse of a GPU: each test breaks one rule and expects a ContractViolation."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from tests.doubles import tensorrt
from tests.doubles.api import RTX, VERSIONS, load
from tests.doubles.install import fake_plan, install, tiny_network
from tests.doubles.machine import ContractViolation, Machine

SHAPE = (2, 224, 224, 3)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """All resources of a correct call, with nothing queued yet. `call` queues its four steps in order."""
    machine = Machine()
    trt = install(monkeypatch, "10.13.3", machine)
    onnx.save(tiny_network(), tmp_path / "tiny.onnx")
    cuda = importlib.import_module("pycuda.driver")

    class Log(trt.ILogger):  # type: ignore[misc,name-defined]
        def log(self, severity: Any, message: str) -> None:
            raise AssertionError(message)

    engine = trt.Runtime(Log()).deserialize_cuda_engine(fake_plan(tmp_path / "tiny.onnx"))
    rig = SimpleNamespace(machine=machine, trt=trt, cuda=cuda, engine=engine, stream=cuda.Stream())
    rig.context = engine.create_execution_context()
    rig.host = {"images": cuda.pagelocked_empty(SHAPE, np.uint8)}
    rig.host.update({name: cuda.pagelocked_empty((2, 8), np.float32) for name in ("logits", "probabilities")})
    rig.device = {name: cuda.mem_alloc(array.nbytes) for name, array in rig.host.items()}
    rig.host["images"][...] = np.random.default_rng(0).integers(0, 256, SHAPE)
    rig.context.set_input_shape("images", SHAPE)
    for name, memory in rig.device.items():
        rig.context.set_tensor_address(name, int(memory))
    return rig


def upload(rig: Any, stream: Any = None) -> None:
    rig.cuda.memcpy_htod_async(rig.device["images"], rig.host["images"], stream or rig.stream)


def execute(rig: Any, stream: Any = None) -> None:
    assert rig.context.execute_async_v3((stream or rig.stream).handle)


def download(rig: Any, stream: Any = None) -> None:
    for name in ("logits", "probabilities"):
        rig.cuda.memcpy_dtoh_async(rig.host[name], rig.device[name], stream or rig.stream)


def call(rig: Any) -> None:
    upload(rig)
    execute(rig)
    download(rig)


def free(rig: Any) -> None:
    for name, memory in rig.device.items():
        memory.free()
        rig.host[name].base.free()
    rig.stream = rig.context = rig.engine = None


def test_a_right_call_passes(rig: Any) -> None:
    call(rig)
    rig.stream.synchronize()
    assert rig.host["probabilities"].sum(axis=1) == pytest.approx([1, 1])
    free(rig)
    rig.machine.demand_clean()


def test_output_is_poison_until_the_stream_was_waited_for(rig: Any) -> None:
    call(rig)
    assert np.isnan(rig.host["logits"]).all()
    rig.stream.synchronize()
    assert np.isfinite(rig.host["logits"]).all()


def test_no_shape(rig: Any) -> None:
    context = rig.engine.create_execution_context()
    for name, memory in rig.device.items():
        context.set_tensor_address(name, int(memory))
    upload(rig)
    with pytest.raises(ContractViolation, match="the shape of images was not set"):
        context.execute_async_v3(rig.stream.handle)


def test_no_address(rig: Any) -> None:
    context = rig.engine.create_execution_context()
    context.set_input_shape("images", SHAPE)
    context.set_tensor_address("images", int(rig.device["images"]))
    upload(rig)
    with pytest.raises(ContractViolation, match="the address of logits was not set"):
        context.execute_async_v3(rig.stream.handle)


def test_freed_address(rig: Any) -> None:
    upload(rig)
    rig.device["logits"].free()
    with pytest.raises(ContractViolation, match="no memory at"):
        execute(rig)


def test_engine_before_upload(rig: Any) -> None:
    with pytest.raises(ContractViolation, match="the engine reads memory that was not written"):
        execute(rig)


def test_download_before_engine(rig: Any) -> None:
    upload(rig)
    with pytest.raises(ContractViolation, match="a download reads memory that was not written"):
        download(rig)


def test_download_before_engine_of_a_second_call(rig: Any) -> None:
    call(rig)
    rig.stream.synchronize()
    upload(rig)
    with pytest.raises(ContractViolation, match="since the last read"):
        download(rig)


@pytest.mark.parametrize("step", [execute, download])
def test_step_on_another_stream(step: Any, rig: Any) -> None:
    upload(rig)
    if step is download:
        execute(rig)
    with pytest.raises(ContractViolation, match="reads memory that another stream is still writing"):
        step(rig, rig.cuda.Stream())


def test_input_written_during_its_upload(rig: Any) -> None:
    call(rig)
    rig.host["images"][0, 0, 0, 0] += 1
    with pytest.raises(ContractViolation, match="written while its upload was under way"):
        rig.stream.synchronize()


def test_output_written_during_its_download(rig: Any) -> None:
    call(rig)
    rig.host["logits"][0, 0] = 0
    with pytest.raises(ContractViolation, match="written while its download was under way"):
        rig.stream.synchronize()


def test_context_used_twice_at_once(rig: Any) -> None:
    call(rig)
    rig.cuda.memcpy_htod_async(rig.device["images"], rig.host["images"], rig.stream)
    with pytest.raises(ContractViolation, match="used for two calls at once"):
        execute(rig)


def test_batch_larger_than_its_memory(rig: Any) -> None:
    rig.context.set_input_shape("images", (3, *SHAPE[1:]))
    call(rig)
    with pytest.raises(ContractViolation, match="larger than the memory"):
        rig.stream.synchronize()


def test_batch_outside_the_profile(rig: Any) -> None:
    assert rig.context.set_input_shape("images", (5, *SHAPE[1:])) is False


def test_pageable_memory(rig: Any) -> None:
    with pytest.raises(ContractViolation, match="pageable memory is not asynchronous"):
        rig.cuda.memcpy_htod_async(rig.device["images"], np.zeros(SHAPE, np.uint8), rig.stream)


@pytest.mark.parametrize("what", ["device", "host"])
def test_free_while_queued(what: str, rig: Any) -> None:
    call(rig)
    memory = rig.device["logits"] if what == "device" else rig.host["logits"].base
    with pytest.raises(ContractViolation, match="freed while queued work uses it"):
        memory.free()


def keep_device(rig: Any) -> None:
    rig.extra = rig.cuda.mem_alloc(8)


def keep_host(rig: Any) -> None:
    rig.extra = rig.cuda.pagelocked_empty((8,), np.float32)


def keep_execution_context(rig: Any) -> None:
    rig.extra = rig.context


def keep_context_on_the_stack(rig: Any) -> None:
    importlib.import_module("pycuda.autoprimaryctx").context.push()


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (keep_device, "1 blocks on the GPU were not freed"),
        (keep_host, "1 page-locked blocks were not freed"),
        (keep_execution_context, "'ICudaEngine', 'IExecutionContext', 'Runtime'"),
        (keep_context_on_the_stack, "2 contexts are on the stack"),
    ],
)
def test_left_behind(keep: Any, message: str, rig: Any) -> None:
    keep(rig)
    free(rig)
    with pytest.raises(ContractViolation, match=message):
        rig.machine.demand_clean()


def test_stream_never_waited_for(rig: Any) -> None:
    call(rig)
    with pytest.raises(ContractViolation, match=r"never waited for: \['upload', 'execute', 'download', 'download'\]"):
        rig.machine.demand_clean()
    rig.stream = None
    with pytest.raises(ContractViolation, match="a stream was destroyed with work in it"):
        rig.machine.demand_clean()


def test_no_context(rig: Any) -> None:
    rig.cuda.Context.pop()
    with pytest.raises(rig.cuda.LogicError, match="invalid device context"):
        rig.cuda.Stream()
    with pytest.raises(ContractViolation, match="without a CUDA context"):
        execute(rig)


@pytest.mark.parametrize("version", VERSIONS)
def test_offers_exactly_what_the_version_has(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trt, api = install(monkeypatch, version, Machine()), load(version)
    assert {name for name in vars(trt) if not name.startswith("__")} - {"machine"} == api.names
    for implementation in tensorrt.CLASSES:
        name = implementation.__name__
        if name not in api.names:
            assert not hasattr(trt, name)
            continue
        assert {member for member in dir(getattr(trt, name)) if not member.startswith("_")} - {
            "held",
            "size",
            "trt",
        } == {member for member in api.members[name] if not member.startswith("_")}
    assert hasattr(trt.ICudaEngine, "create_runtime_config") == (version != "10.3.0")
    assert hasattr(trt, "CudaGraphStrategy") == (version == RTX)


@pytest.mark.parametrize("version", VERSIONS)
def test_signatures_are_the_version_s(version: str) -> None:
    api, compared = load(version), 0
    for implementation in tensorrt.CLASSES:
        for member, value in vars(implementation).items():
            signature = api.signatures.get(f"{implementation.__name__}.{member}")
            if not inspect.isfunction(value) or signature is None or signature.parameters is None:
                continue
            # The double takes what it does not tell apart as *overloaded.
            own = tuple(inspect.signature(value).parameters)[1:]
            assert own in (signature.parameters, ("overloaded",)), member
            compared += own == signature.parameters
    assert compared >= 7


def test_every_member_of_the_double_is_real() -> None:
    for implementation in tensorrt.CLASSES:
        real = {m for version in VERSIONS for m in load(version).members.get(implementation.__name__, ())}
        assert {name for name in vars(implementation) if not name.startswith("_")} <= real


def test_setting_what_a_version_lacks_raises(rig: Any) -> None:
    with pytest.raises(AttributeError):
        rig.engine.create_runtime_config().cuda_graph_strategy = 1
