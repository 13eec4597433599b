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
    assert built == "engines/a.plan was built by TensorRT 10.13.3.9 for sm_89"
    assert container.startswith("nvcr.io/nvidia/tritonserver:25.10-py3 is the container with it")
    assert "docker run --rm nvcr.io/nvidia/tritonserver:25.10-py3 printenv TRT_VERSION" in container


@pytest.mark.parametrize("version", ["10.13.2.6", "10.16.1", "11.4.0", "10", "", "ten"])
def test_an_unknown_tensorrt_is_said_to_be_unknown(version: str) -> None:
    assert release_for(version) is None
    *_, words = container_messages(plan(version=version))
    assert "not known here" in words and "support-matrix" in words and "YY.MM" in words
    assert not any(release in words for release in RELEASES.values())


@pytest.mark.parametrize("version", ["10.3.0", "10.3.0.26", "10.3.0.30+cuda12.6"])
def test_the_build_number_does_not_matter(version: str) -> None:
    assert release_for(version) == "24.08"


def test_a_jetson_is_sent_to_its_own_containers() -> None:
    *_, words = container_messages(plan(version="10.3.0", device="sm_87"))
    assert "-py3-igpu" in words and "not known here" in words


def test_a_version_compatible_plan_says_what_the_server_must_be_told() -> None:
    lines = container_messages(plan(options={"version_compatible": "true"}))
    assert any("--backend-config=tensorrt,version-compatible=true" in line for line in lines)
