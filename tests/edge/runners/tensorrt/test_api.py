"""Every name and argument of TensorRT's that the product uses exists in all the versions it is for, or is guarded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.api import PYCUDA, RTX, VERSIONS, load
from tests.doubles.calls import BUILDER, PYCUDA_USERS, ROOT, RUNNERS, table
from tests.doubles.machine import Machine
from tests.doubles.pycuda import make_modules
from tests.doubles.usage import MODULE, uses_of


@pytest.mark.parametrize("files", [RUNNERS, BUILDER], ids=["runner", "builder"])
def test_product_uses_what_every_version_has(files: list[Path]) -> None:
    problems = [problem for use in uses_of(files, VERSIONS) for problem in use.problems()]
    assert problems == []


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (RUNNERS, {"Runtime.deserialize_cuda_engine", "IExecutionContext.execute_async_v3", "DataType.UINT8"}),
        (BUILDER, {"Builder.build_serialized_network", "IBuilderConfig.set_flag", "OnnxParser.parse"}),
    ],
    ids=["runner", "builder"],
)
def test_the_reader_follows_the_product(files: list[Path], names: set[str]) -> None:
    followed = {f"{use.owner}.{use.name}" for use in uses_of(files, VERSIONS) if use.owner}
    assert names <= followed
    assert len(followed) > 25


CODE = {
    "removed": ("engine.has_implicit_batch_dimension", "ICudaEngine.has_implicit_batch_dimension is missing in 11.4.0"),
    "later": ("engine.get_engine_stat()", "ICudaEngine.get_engine_stat is missing in 10.3.0"),
    "misspelled": ("engine.create_execution_contest()", "ICudaEngine.create_execution_contest is missing in 10.3.0"),
    "enum": ("trt.BuilderFlag.INT8", "BuilderFlag.INT8 is missing in 11.4.0"),
    "class": ("trt.IInt8EntropyCalibrator2", "trt.IInt8EntropyCalibrator2 is missing in 11.4.0"),
    "argument": ("engine.get_tensor_name(number=0)", "ICudaEngine.get_tensor_name takes index in 10.3.0"),
    "arguments": ("engine.get_tensor_name(0, 1)", "ICudaEngine.get_tensor_name takes index in 10.3.0"),
    "not followed": ("whatever().get_tensor_name(0)", ".get_tensor_name is of an unknown class in 10.3.0"),
    "guard of another name": (
        "if hasattr(trt, 'IRuntimeConfig'):\n        engine.get_engine_stat()",
        "ICudaEngine.get_engine_stat is missing in 10.13.3",
    ),
    "wrong branch": (
        "if not hasattr(engine, 'get_engine_stat'):\n        engine.get_engine_stat()",
        "ICudaEngine.get_engine_stat is missing in 10.3.0",
    ),
    "set": (
        "engine.create_runtime_config().cuda_graph_strategy = 1",
        "ICudaEngine.create_runtime_config is missing in 10.3.0",
    ),
}
GUARDED = {
    "if": "if hasattr(engine, 'get_engine_stat'):\n        engine.get_engine_stat()",
    "early return": "if not hasattr(engine, 'get_engine_stat'):\n        return\n    engine.get_engine_stat()",
    "expression": "engine.get_engine_stat() if hasattr(engine, 'get_engine_stat') else 0",
    "everywhere": "engine.get_tensor_name(index=0)",
    "module": "if hasattr(trt, 'CudaGraphStrategy'):\n        engine.create_runtime_config().cuda_graph_strategy = 1",
}


def problems_of(code: str, folder: Path) -> list[str]:
    file = folder / "code.py"
    file.write_text(
        f"def load(trt, log, data):\n    use(trt.Runtime(log).deserialize_cuda_engine(data))\n\n"
        f"def use(engine):\n    {code}\n"
    )
    return [problem for use in uses_of([file], VERSIONS) for problem in use.problems()]


@pytest.mark.parametrize(("code", "problem"), CODE.values(), ids=CODE)
def test_the_reader_finds(code: str, problem: str, tmp_path: Path) -> None:
    assert any(found.endswith(problem) for found in problems_of(code, tmp_path)), problems_of(code, tmp_path)


@pytest.mark.parametrize("code", GUARDED.values(), ids=GUARDED)
def test_the_reader_lets_pass(code: str, tmp_path: Path) -> None:
    assert problems_of(code, tmp_path) == []


def test_graphs_are_only_used_where_they_are() -> None:
    uses = [use for use in uses_of(RUNNERS, VERSIONS) if (use.owner, use.name) == (MODULE, "CudaGraphStrategy")]
    assert [use.versions for use in uses] == [{RTX}]


PYCUDA_NAMES = {
    "driver.memcpy_htod_async", "driver.memcpy_dtoh_async", "driver.pagelocked_empty", "driver.mem_alloc",
    "driver.mem_get_info", "driver.module_from_buffer", "driver.Stream", "driver.Event", "driver.MemoryError",
    "Stream.handle", "Stream.synchronize", "Event.record", "Event.synchronize", "Event.time_since",
    "Module.get_function", "Function.prepare", "Function.prepared_async_call", "event_flags.DISABLE_TIMING",
    "Context.push", "Context.pop", "Context.get_device", "Device.compute_capability", "Device.name",
    "autoprimaryctx.context",
}  # fmt: skip


def test_product_uses_what_pycuda_has() -> None:
    uses = uses_of(PYCUDA_USERS, (PYCUDA,))
    assert [problem for use in uses for problem in use.problems()] == []
    assert {f"{use.owner}.{use.name}" for use in uses} >= PYCUDA_NAMES


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("driver.memcpy_h2d_async(0, [], None)", "driver.memcpy_h2d_async is missing in pycuda-2026.1"),
        ("driver.Stream().wait()", "Stream.wait is missing in pycuda-2026.1"),
        (
            "driver.pagelocked_empty(shape=1, type=int)",
            "driver.pagelocked_empty takes shape, dtype, order, mem_flags in",
        ),
        ("primary.context.push_current()", "Context.push_current is missing in pycuda-2026.1"),
        ("driver.event_flags.NO_TIMING", "event_flags.NO_TIMING is missing in pycuda-2026.1"),
    ],
)
def test_the_reader_finds_what_pycuda_lacks(code: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text(f"def use(driver, primary):\n    {code}\n")
    found = [problem for use in uses_of([file], (PYCUDA,)) for problem in use.problems()]
    assert any(problem in line for line in found), found


def test_the_stand_in_offers_nothing_that_pycuda_has_not() -> None:
    driver, api = make_modules(Machine())["pycuda.driver"], load(PYCUDA)
    for name, value in vars(driver).items():
        if name.startswith("__"):
            continue
        assert name in api.names
        if isinstance(value, type) and not issubclass(value, Exception):
            real = {"Stream": "Stream", "Event": "Event", "Context": "Context"}.get(name, "DeviceAllocation")
            own = {member for member in vars(value) if not member.startswith("_")}
            assert own <= api.members[real], name


def test_the_table_of_calls_is_the_code_s() -> None:
    made = table()
    assert "MISSING" not in made
    assert (ROOT / "docs/tensorrt_calls.md").read_text(encoding="utf-8") == made, (
        "next: python -m tests.doubles.calls > docs/tensorrt_calls.md"
    )
