"""Every name and argument of TensorRT's that the product uses exists in all the versions it is for, or is guarded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.api import RTX, VERSIONS
from tests.doubles.usage import MODULE, uses_of

ROOT = Path(__file__).parents[3]
RUNNERS = sorted((ROOT / "ssr_edge/runners").glob("tensorrt*.py"))
BUILDER = sorted((ROOT / "export/ssr_export").glob("tensorrt*.py"))


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
    "misspelt": ("engine.create_execution_contest()", "ICudaEngine.create_execution_contest is missing in 10.3.0"),
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
