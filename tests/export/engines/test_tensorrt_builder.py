"""TensorRT for RTX builds engines without a GPU, which shows that its parser and builder accept our files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from ssr_edge.bundle.bundle import Bundle, write_manifest
from ssr_edge.common.errors import BuildError
from ssr_export.engines.build import EngineRequest, build_engine
from ssr_export.engines.tensorrt_builder import TensorRtOptions, build_tensorrt
from ssr_export.folding.fold import fold
from ssr_export.int8.calibrate import collect_histograms
from ssr_export.int8.quantize import quantize
from ssr_export.int8.ranges import choose_range
from ssr_export.onnx.half import to_half
from ssr_export.onnx.to_onnx import export_onnx
from ssr_train.models.network import SSResNeXt

pytestmark = pytest.mark.slow

trt = pytest.importorskip("tensorrt_rtx_bindings")


@pytest.fixture(scope="module")
def paper_models(
    make_network: Callable[..., SSResNeXt], calibration_images: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The three models of the paper's network, laid out as in a bundle folder."""
    folder = tmp_path_factory.mktemp("ssresnext50")
    export_onnx(fold(make_network("ssresnext50_32x4d")).float(), folder / "model.fp32.onnx")
    histograms = collect_histograms(folder / "model.fp32.onnx", calibration_images[:2])
    ranges = {tensor: choose_range(histogram, "percentile") for tensor, histogram in histograms.items()}
    model = onnx.load(folder / "model.fp32.onnx")
    onnx.save(to_half(model), folder / "model.fp16.onnx")
    onnx.save(quantize(model, ranges), folder / "model.int8.onnx")
    return folder


@pytest.fixture
def small_models(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """The three models of the smallest network, likewise."""
    folder = tmp_path / "small"
    folder.mkdir()
    for name in ("model.fp32.onnx", "model.fp16.onnx", "model.int8.onnx"):
        (folder / name).symlink_to(tiny_bundle.file(name).resolve())
    return folder


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_papers_network_builds(paper_models: Path, precision: str) -> None:
    lines: list[str] = []
    entry = build_engine(paper_models, EngineRequest("tensorrt-rtx", precision), lines.append)  # type: ignore[arg-type]
    plan = paper_models / entry.file
    megabytes = plan.stat().st_size / 1e6
    # Weights and little else: 4, 2 and 1 bytes per parameter, 24.3 M parameters.
    assert megabytes == pytest.approx({"fp32": 98, "fp16": 50, "int8": 36}[precision], rel=0.2)
    assert json.loads(plan.with_suffix(".json").read_text())["device"] == "portable"
    assert not [line for line in lines if "uint8" in line.lower()]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_demo_network_builds(demo_bundle: Bundle, tmp_path: Path, precision: str) -> None:
    for name in ("model.fp32.onnx", "model.fp16.onnx", "model.int8.onnx"):
        (tmp_path / name).symlink_to(demo_bundle.file(name).resolve())
    write_manifest(tmp_path, demo_bundle.manifest.model_copy(deep=True))
    options = TensorRtOptions(targets=("sm_86", "sm_89", "sm_120"), batch=(1, 4, 16))
    entry = build_engine(tmp_path, EngineRequest("tensorrt-rtx", precision, options), print)  # type: ignore[arg-type]
    assert entry.device == "sm_86,sm_89,sm_120"
    assert entry.batch == (1, 4, 16)
    assert (tmp_path / entry.file).stat().st_size > 1e6


def test_turing_takes_int8_because_its_remainder_is_fp16(paper_models: Path) -> None:
    options = TensorRtOptions(targets=("sm_75",))
    entry = build_engine(paper_models, EngineRequest("tensorrt-rtx", "int8", options), print)
    assert entry.device == "sm_75"


def test_progress_reaches_the_end(small_models: Path) -> None:
    steps: list[tuple[int, int, str]] = []
    model = (small_models / "model.fp16.onnx").read_bytes()
    build_tensorrt(trt, model, TensorRtOptions(), print, lambda done, of, phase: steps.append((done, of, phase)))
    assert steps[-1][0] == steps[-1][1] > 1
    assert len({phase for _, _, phase in steps}) > 3, "inner phases must be named"


# TensorRT for RTX still has these functions, without effect: enough to check that ours are called correctly.
@pytest.mark.filterwarnings("ignore:.*Timing cache operations are no-ops:DeprecationWarning")
def test_a_timing_cache_is_written_and_read_back(small_models: Path, tmp_path: Path) -> None:
    cache = tmp_path / "timing.cache"
    model = (small_models / "model.fp16.onnx").read_bytes()
    options = TensorRtOptions(timing_cache=cache)
    first = build_tensorrt(trt, model, options, print, lambda *_: None)
    assert cache.stat().st_size > 0
    second = build_tensorrt(trt, model, options, print, lambda *_: None)
    assert len(second) == pytest.approx(len(first), rel=0.01)


def test_rtx_reports_that_it_has_no_timing_cache(small_models: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    options = TensorRtOptions(timing_cache=tmp_path / "timing.cache")
    build_engine(small_models, EngineRequest("tensorrt-rtx", "fp16", options), lines.append)
    assert any("timing cache" in line for line in lines)
    assert not (tmp_path / "timing.cache").exists()


def test_an_unknown_target_is_named_with_the_known_ones(small_models: Path) -> None:
    with pytest.raises(BuildError) as refusal:
        build_engine(small_models, EngineRequest("tensorrt-rtx", "fp16", TensorRtOptions(targets=("sm_90",))), print)
    assert "sm_90" in refusal.value.found
    assert "sm_89" in refusal.value.expected


def test_a_parser_error_names_the_node_and_the_reason() -> None:
    x = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    node = helper.make_node("NoSuchOperator", ["images"], ["y"], name="the_culprit", domain="somewhere.else")
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y]),
        opset_imports=[helper.make_opsetid("", 19), helper.make_opsetid("somewhere.else", 1)],
    )
    with pytest.raises(BuildError) as refusal:
        build_tensorrt(trt, model.SerializeToString(), TensorRtOptions(), print, lambda *_: None)
    assert "the_culprit" in refusal.value.found
    assert "NoSuchOperator" in refusal.value.found


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(BuildError) as refusal:
        build_tensorrt(trt, b"not a model", TensorRtOptions(), print, lambda *_: None)
    assert "parser" in refusal.value.found
    assert "ssr-edge doctor" in refusal.value.next_step
