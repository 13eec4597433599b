"""The demo's bundle, built once for all tests of the export stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssr_edge.bundle import Bundle
from ssr_edge.cli.defaults import DEMO_CHECKPOINT
from ssr_export.build import EngineRequest
from ssr_export.make_bundle import BundlePlan, make_bundle


@pytest.fixture(scope="session")
def demo_checkpoint() -> Path:
    return DEMO_CHECKPOINT


@pytest.fixture(scope="session")
def demo_bundle(demo_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """What `ssr-edge build-engine` makes of the demo weights."""
    engines = (EngineRequest("openvino", "int8"), EngineRequest("openvino", "fp32"))
    target = tmp_path_factory.mktemp("bundles") / "demo"
    return make_bundle(BundlePlan(demo_checkpoint, target, engines, "mse"), print)
