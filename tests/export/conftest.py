"""Shared fixtures of the export stage: the demo bundle, built once, and the model and ranges of the tiny one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.demo import DEMO_CHECKPOINT
from ssr_export.build_bundle import build_bundle
from ssr_export.engines.build import EngineRequest
from ssr_export.int8.calibrate import read_calibration
from ssr_export.plan import BundlePlan


@pytest.fixture(scope="session")
def demo_checkpoint() -> Path:
    return DEMO_CHECKPOINT


@pytest.fixture(scope="session")
def demo_bundle(demo_checkpoint: Path, build_once: Callable[[str, Callable[[Path], object]], Path]) -> Bundle:
    """The bundle that `ssr-edge build-engine` builds from the demo weights; treat it as read-only."""
    engines = (EngineRequest("openvino", "int8"), EngineRequest("openvino", "fp32"))
    path = build_once(
        "bundles/demo", lambda place: build_bundle(BundlePlan(demo_checkpoint, place, engines, "mse"), print)
    )
    return Bundle.open(path)


@pytest.fixture(scope="module")
def fp32(tiny_bundle: Bundle) -> onnx.ModelProto:
    """The tiny network's FP32 model, read again for each module."""
    return onnx.load(tiny_bundle.file("model.fp32.onnx"))


@pytest.fixture(scope="module")
def ranges(tiny_bundle: Bundle) -> dict[str, float]:
    """The ranges that its INT8 model was written with."""
    calibration = read_calibration(tiny_bundle.file("calibration.json"))
    assert calibration is not None
    return calibration.ranges
