"""Test double of a given version of `tensorrt` or `tensorrt_rtx`: runs ONNX on a Machine, with only the real API.

A plan is JSON with the path of the ONNX file. Members that the real version has but no test needs raise
NotImplementedError; members that it lacks raise AttributeError, as with the real package.
"""

from __future__ import annotations

import enum
import json
import weakref
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

from tests.doubles.api import Api, load
from tests.doubles.machine import Machine, demand

TYPES = {
    "tensor(uint8)": ("UINT8", np.uint8),
    "tensor(float)": ("FLOAT", np.float32),
    "tensor(float16)": ("HALF", np.float16),
}


Severity = enum.Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"])


class Dims:
    """Like trt.Dims: a sequence, not a tuple."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self._sizes = sizes

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: int) -> int:
        return self._sizes[index]


class _Held:
    """A TensorRT object. held: the double's state. size: bytes of scratch memory on the GPU."""

    __slots__ = ("__weakref__", "held", "size")

    def __init__(self, trt: Any, size: int = 0, **held: Any) -> None:
        demand(bool(trt.machine.contexts), f"{type(self).__name__} is created without a CUDA context")
        self.size, self.held = size, SimpleNamespace(trt=trt, machine=trt.machine, **held)
        trt.machine.objects.add(self)

    def __del__(self) -> None:
        machine = self.held.machine
        machine.fault(not machine.contexts, f"{type(self).__name__} was destroyed without a CUDA context")
        machine.fault(machine.is_queued(self.held), f"{type(self).__name__} was destroyed while its work was queued")


class ILogger:
    """Base of Python classes, so it has no __slots__."""

    def __init__(self) -> None:
        self.ready = True


class IProfiler:
    """Base of Python classes, too."""

    def __init__(self) -> None:
        self.ready = True

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        demand(False, "a profiler must override report_layer_time")


class Runtime(_Held):
    __slots__ = ()

    def __init__(self, logger: Any) -> None:
        demand(getattr(logger, "ready", False), "a logger's constructor must call ILogger.__init__")
        # Not super(): a version's class is built from this one but does not derive from it.
        _Held.__init__(self, type(self).trt, logger=logger, host_code=False)  # type: ignore[attr-defined]

    @property
    def engine_host_code_allowed(self) -> bool:
        return bool(self.held.host_code)

    @engine_host_code_allowed.setter
    def engine_host_code_allowed(self, allowed: bool) -> None:
        self.held.host_code = allowed

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        self.held.machine.deserialized += 1
        plan = json.loads(serialized_engine)
        if plan.get("host_code") and not self.held.host_code:
            return _refuse(self.held, "host code is not allowed")
        if plan.get("broken"):
            return _refuse(self.held, "magic tag does not match")
        if machine_is_full(self.held.machine, plan.get("weights", 0)):
            return _refuse(self.held, "Error Code 1: Cuda Runtime (out of memory)")
        return self.held.trt.ICudaEngine(
            self.held.trt, runtime=self, logger=self.held.logger, plan=plan, **_parse(plan)
        )


def machine_is_full(machine: Machine, size: int) -> bool:
    return machine.used() + size > machine.memory


def _refuse(held: Any, why: str) -> None:
    held.logger.log(held.trt.ILogger.ERROR, why)
    held.logger.log(held.trt.ILogger.WARNING, "a warning that explains nothing")


def _parse(plan: dict[str, Any]) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(plan["onnx"], options, providers=["CPUExecutionProvider"])
    tensors = {}
    for mode, values in (("INPUT", session.get_inputs()), ("OUTPUT", session.get_outputs())):
        for value in values:
            shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
            tensors[value.name] = SimpleNamespace(mode=mode, shape=shape, type=TYPES[value.type])
    return {"session": session, "tensors": tensors}


class ICudaEngine(_Held):
    __slots__ = ()

    @property
    def num_io_tensors(self) -> int:
        return len(self.held.tensors)

    def get_tensor_name(self, index: int) -> str:
        return str(list(self.held.tensors)[index])

    def get_tensor_mode(self, name: str) -> Any:
        return self.held.trt.TensorIOMode[self.held.tensors[name].mode]

    def get_tensor_dtype(self, name: str) -> Any:
        return self.held.trt.DataType[self.held.tensors[name].type[0]]

    def get_tensor_shape(self, name: str) -> Dims:
        return Dims(self.held.tensors[name].shape)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Dims]:
        demand(profile_index == 0, "the engine has one profile")
        return [Dims((size, *self.held.tensors[name].shape[1:])) for size in self.held.plan["batch"]]

    @property
    def device_memory_size_v2(self) -> int:
        return int(self.held.plan["scratch"])

    def create_runtime_config(self) -> Any:
        return self.held.trt.IRuntimeConfig(self.held.trt, graph=None, cache=None)

    def create_execution_context(self, *overloaded: Any) -> Any:
        trt, machine, size = self.held.trt, self.held.machine, self.held.plan["scratch"]
        (config,) = overloaded or (None,)
        if config is not None:
            demand(hasattr(trt, "IRuntimeConfig"), "this version takes no runtime config")
            demand(isinstance(config, trt.IRuntimeConfig), "the argument is a runtime config")
        if machine_is_full(machine, size):
            return _refuse(self.held, "out of memory")
        held = {"engine": self, "shapes": {}, "addresses": {}, "config": _weak(config), "profiler": None}
        context = trt.IExecutionContext(trt, size, **held)
        cache = config and config.held.cache
        machine.events.append((f"context {config and config.held.graph} {'cache' if cache else ''}".rstrip(), 0))
        return context


class IExecutionContext(_Held):
    __slots__ = ()

    @property
    def profiler(self) -> Any:
        return self.held.profiler and self.held.profiler()

    @profiler.setter
    def profiler(self, profiler: Any) -> None:
        demand(isinstance(profiler, self.held.trt.IProfiler), "profiler takes an IProfiler")
        demand(getattr(profiler, "ready", False), "a profiler's constructor must call IProfiler.__init__")
        config = self.held.config and self.held.config()
        demand(config is None or not config.held.graph, "what runs as a CUDA graph reports no layers")
        self.held.profiler = _weak(profiler)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        smallest, _, largest = self.held.engine.get_tensor_profile_shape(name, 0)
        fits = all(low <= size <= high for low, size, high in zip(smallest, shape, largest, strict=True))
        if fits:
            self.held.shapes[name] = tuple(shape)
        return fits

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.held.addresses[name] = memory
        return name in self.held.engine.held.tensors

    def execute_async_v3(self, stream_handle: int) -> bool:
        held, engine, machine = self.held, self.held.engine.held, self.held.machine
        demand(bool(machine.contexts), "execute_async_v3 is called without a CUDA context")
        demand(stream_handle in machine.queues, "execute_async_v3 is given no stream of this process")
        demand(held.config is None or held.config() is not None, "the runtime config was dropped before its context")
        cache = held.config and held.config().held.cache
        demand(cache is None or cache() is not None, "the runtime cache was dropped before the context that uses it")
        demand(not machine.is_queued(held), "an execution context is used for two calls at once")
        queue = machine.queues[stream_handle]
        if machine.refuse_to_run:
            _refuse(engine, "the kernel image is invalid")
            return False
        blocks = {}
        for name, tensor in engine.tensors.items():
            demand(name in held.addresses, f"the address of {name} was not set")
            blocks[name] = machine.block(held.addresses[name])
            if tensor.mode == "INPUT":
                demand(name in held.shapes, f"the shape of {name} was not set")
                blocks[name].read_by(queue, "the engine")
            else:
                blocks[name].written_by(queue)
        shapes = dict(held.shapes)

        def work() -> None:
            given = {name: _view(blocks[name], shape, engine.tensors[name].type[1]) for name, shape in shapes.items()}
            results = engine.session.run(None, given)
            for value, result in zip(engine.session.get_outputs(), results, strict=True):
                _view(blocks[value.name], result.shape, result.dtype)[...] = result

        machine.enqueue(queue, "execute", (*blocks.values(), held), work)
        if held.profiler is not None:
            demand(held.profiler() is not None, "the profiler was dropped before the context that reports to it")
            # enqueue_emits_profile is set by default: the call waits, then reports.
            machine.run_until(queue, queue.finished + len(queue.steps))
            for name, ms in engine.plan["layers"]:
                held.profiler().report_layer_time(name, ms)
        return True


def _weak(passed: Any) -> Any:
    """The bindings' default reference to an argument, which does not keep it alive."""
    return None if passed is None else weakref.ref(passed)


def _view(block: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    demand(size <= block.data.size, "a tensor is larger than the memory at its address")
    return block.data[:size].view(dtype).reshape(shape)


class IRuntimeConfig(_Held):
    """In TensorRT 10.13 and later; graphs and caches only in TensorRT for RTX."""

    __slots__ = ()

    @property
    def cuda_graph_strategy(self) -> Any:
        return self.held.graph

    @cuda_graph_strategy.setter
    def cuda_graph_strategy(self, strategy: Any) -> None:
        demand(isinstance(strategy, self.held.trt.CudaGraphStrategy), "cuda_graph_strategy takes a CudaGraphStrategy")
        self.held.graph = strategy.name

    def create_runtime_cache(self) -> Any:
        return self.held.trt.IRuntimeCache(self.held.trt)

    def set_runtime_cache(self, cache: Any = None) -> bool:
        self.held.cache = _weak(cache)
        return True


class IRuntimeCache(_Held):
    __slots__ = ()


CLASSES = (ILogger, IProfiler, Runtime, ICudaEngine, IExecutionContext, IRuntimeConfig, IRuntimeCache)


def make_module(version: str, machine: Machine) -> Any:
    """A version's module, with the attribute `machine` for the tests."""
    api = load(version)
    trt: Any = ModuleType("tensorrt")
    trt.__version__, trt.machine = api.version, machine
    for name in api.names:
        setattr(trt, name, _missing(name))
    for name, values in api.enums.items():
        setattr(trt, name, enum.Enum(name, values))
    for implementation in CLASSES:
        if implementation.__name__ in api.names:
            setattr(trt, implementation.__name__, _offer(implementation, api, trt))
    for severity in Severity:
        setattr(trt.ILogger, severity.name, severity)
    return trt


def _offer(implementation: type, api: Api, trt: Any) -> type:
    """The class with exactly the members of this version."""
    name = implementation.__name__
    body = {own: value for own, value in vars(implementation).items() if own.startswith("__") and own != "__dict__"}
    body.pop("__weakref__", None)
    for member in api.members[name]:
        body[member] = vars(implementation).get(member, _missing(f"{name}.{member}"))
    return type(name, implementation.__bases__, {**body, "trt": trt})


def _missing(name: str) -> Any:
    def refuse(*_: Any, **__: Any) -> None:
        raise NotImplementedError(f"the double doesn't do {name}")

    return refuse
