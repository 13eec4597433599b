from __future__ import annotations

from typing import Any

import pytest

from ssr_edge.bundle.manifest import EngineEntry
from ssr_edge.triton.containers import RELEASES, container_messages, release_for


def plan(**fields: Any) -> EngineEntry:
    described = {"file": "engines/a.plan", "runtime": "tensorrt", "version": "10.13.3.9", "device": "sm_89"}
    built = {"precision": "int8", "model": "model.int8.onnx", "batch": (1, 8, 32), "build_seconds": 0}
    return EngineEntry(**{**described, **built, **fields})


def test_a_known_tensorrt_has_its_container_named() -> None:
    built, container = container_messages(plan())
    for part in ("engines/a.plan", "TensorRT 10.13.3.9", "sm_89"):
        assert part in built
    assert "docker run --rm nvcr.io/nvidia/tritonserver:25.10-py3 printenv TRT_VERSION" in container


@pytest.mark.parametrize("version", ["10.13.2.6", "10.16.1", "11.4.0", "10", "", "ten"])
def test_an_unknown_tensorrt_names_no_release(version: str) -> None:
    assert release_for(version) is None
    *_, line = container_messages(plan(version=version))
    assert "support-matrix" in line and "YY.MM" in line
    assert not any(release in line for release in RELEASES.values())


@pytest.mark.parametrize("version", ["10.3.0", "10.3.0.26", "10.3.0.30+cuda12.6"])
def test_the_build_number_does_not_matter(version: str) -> None:
    assert release_for(version) == "24.08"


def test_a_jetson_is_sent_to_its_own_containers() -> None:
    *_, line = container_messages(plan(version="10.3.0", device="sm_87"))
    assert ":YY.MM-py3-igpu" in line
    assert not any(release in line for release in RELEASES.values())


def test_a_version_compatible_plan_names_the_servers_option() -> None:
    lines = container_messages(plan(options={"version_compatible": "true"}))
    assert any("--backend-config=tensorrt,version-compatible=true" in line for line in lines)
