"""Every runtime's profile of the tiny network: all of its blocks, in the precision actually computed in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ssr_edge.bench.measure.engines import EngineSpec
from ssr_edge.bench.measure.process import WorkerProcess, Workers
from ssr_edge.bench.profile.blocks import CONVERSIONS, OTHER, PREPROCESSING
from ssr_edge.bench.profile.layers import Profile, by_block
from ssr_edge.bench.profile.profiling import measure_peaks_apart, profile_engines
from ssr_edge.bench.profile.runtimes.calls import one_at_a_time
from ssr_edge.bench.profile.runtimes.choose import profile_engine
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.images.preprocess import Image, load_first

pytestmark = pytest.mark.slow

BLOCKS = [PREPROCESSING, "stem", *(f"stages.{stage}.blocks.0" for stage in range(4)), "classifier"]
CALLS = 3


@pytest.fixture(scope="module")
def images(image_folder: Path) -> Image:
    return np.stack(load_first(sorted(map(str, image_folder.iterdir())), 2))


def _check(profile: Profile) -> None:
    """Every block has its time, and no layer is of an unknown one."""
    assert profile.calls == CALLS
    times = by_block(profile.layers)
    assert [block for block in times if block != CONVERSIONS] == BLOCKS
    assert all(ms > 0 for ms in times.values())
    assert OTHER not in times


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_openvino(tiny_bundle: Bundle, images: Image, precision: str) -> None:
    profile = profile_engine(EngineSpec("openvino", precision, str(tiny_bundle.path)), images, CALLS)
    _check(profile)
    convolutions = [layer for layer in profile.layers if "Convolution" in layer.kind]
    assert len(convolutions) == 1 + 4 * 6
    stages = [layer for layer in convolutions if "stages" in layer.name and ".attention." not in layer.name]
    assert {layer.precision for layer in stages} == {precision}
    assert {layer.precision for layer in convolutions if ".attention." in layer.name} == {"fp32"}


def test_onnxruntime(tiny_bundle: Bundle, images: Image) -> None:
    profile = profile_engine(EngineSpec("onnxruntime", "fp32", str(tiny_bundle.path)), images, CALLS)
    _check(profile)
    assert sum("Conv" in layer.kind for layer in profile.layers) == 1 + 4 * 6
    assert {layer.precision for layer in profile.layers if "Conv" in layer.kind} == {"fp32"}


def test_torch(tiny_bundle: Bundle, images: Image) -> None:
    spec = EngineSpec("torch", "fp32", arch=tiny_bundle.manifest.arch)
    profile = profile_engine(spec, images, CALLS)
    _check(profile)
    # Not folded: three kernels, each with its BatchNorm, where the exported network has one.
    kinds = [layer.kind for layer in profile.layers]
    assert kinds.count("conv2d") == 1 + 4 * 8
    assert kinds.count("batch_norm") == 1 + 4 * 6
    (row,) = [layer for layer in profile.layers if layer.name == "stages.2.blocks.0.spatial.row.conv2d"]
    assert (row.block, row.precision) == ("stages.2.blocks.0", "fp32")
    assert [layer.block for layer in profile.layers if layer.kind == "max_pool2d"] == ["stem"]


def test_a_torch_network_is_as_it_was_after_it_was_profiled(tiny_bundle: Bundle, images: Image) -> None:
    spec = EngineSpec("torch", "fp32", arch=tiny_bundle.manifest.arch)
    assert len(profile_engine(spec, images, 1).layers) == len(profile_engine(spec, images, 1).layers)


def test_the_images_are_given_in_turn(images: Image) -> None:
    given = one_at_a_time(lambda image: image.copy(), images, 4)
    assert len(given) == 4 and given[0].shape == (1, 224, 224, 3)
    assert (given[0] == given[2]).all() and (given[1] == given[3]).all() and (given[0] != given[1]).any()


def test_a_missing_runtime_is_named(tiny_bundle: Bundle, images: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeUnavailable) as caught:
        profile_engine(EngineSpec("onnxruntime", "fp32", str(tiny_bundle.path)), images, CALLS)
    assert "pip install onnxruntime" in caught.value.next_step


@pytest.fixture
def workers(tiny_bundle: Bundle, image_folder: Path) -> Iterator[Workers]:
    """One worker with an engine, and one whose process is gone."""
    with Workers() as workers:
        workers.running["openvino-fp32"] = WorkerProcess()
        spec = {"runtime": "openvino", "precision": "fp32", "bundle": str(tiny_bundle.path)}
        files = sorted(map(str, image_folder.iterdir()))
        assert workers.ask("openvino-fp32", do="load", spec=spec, images=files, pool=2) is not None
        workers.running["gone"] = WorkerProcess((sys.executable, "-c", "raise SystemExit(3)"))
        yield workers


def test_workers_profile_their_engines_and_a_failure_is_limited_to_its_own(workers: Workers) -> None:
    profiles, reasons = profile_engines(workers, ["gone", "never started", "openvino-fp32"], CALLS)
    assert list(profiles) == ["openvino-fp32"]
    _check(profiles["openvino-fp32"])
    assert reasons == {"gone": "its process ended with exit code 3"}
    assert workers.failures == {}


def test_peaks_come_from_a_process_of_their_own() -> None:
    assert measure_peaks_apart(seconds=0.02).multiply_adds_per_s["fp32"] > 1e8
