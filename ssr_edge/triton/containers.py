"""Finds the NVIDIA Triton container that can load a plan: the one with the TensorRT version that built it."""

from __future__ import annotations

from ssr_edge.bundle.manifest import EngineEntry
from ssr_edge.runners.tensorrt.engine import is_version_compatible

IMAGE = "nvcr.io/nvidia/tritonserver"
# TensorRT versions of the images `IMAGE:YY.MM-py3` for which a source was found; none was run here.
# 24.08: TensorRT 10.3.0, Triton's release compatibility matrix (server repository, docs/introduction/compatibility.md).
# 24.09: TRT_VERSION inside that image is 10.4.0.26, and the matrix has 10.4.0. The matrix is of the variant with
#   TensorRT-LLM, whose TensorRT differs from the plain image's in later releases, so those are not taken from it.
# 25.10: the label com.nvidia.tensorrt.version of NVIDIA's 25.10 images is 10.13.3.9.
# 26.01: DeepStream 9.0, made from tritonserver:26.01-py3, has TensorRT 10.14.1.48 (its release notes and Dockerfile).
# 26.07: TRT_VERSION inside the image, and the label of NVIDIA's 26.07 images, is 11.1.0.106.
RELEASES = {"10.3.0": "24.08", "10.4.0": "24.09", "10.13.3": "25.10", "10.14.1": "26.01", "11.1.0": "26.07"}
MATRIX = "https://docs.nvidia.com/deeplearning/frameworks/support-matrix/index.html"
# Jetsons have their own container tags (`-igpu`), and JetPack its own TensorRT.
_JETSON = frozenset({"sm_72", "sm_87", "sm_110"})


def release_for(version: str) -> str | None:
    """The release whose container has a TensorRT version, `25.10` for `10.13.3.9`; None if unknown."""
    return RELEASES.get(".".join(version.split(".")[:3]))


def container_messages(engine: EngineEntry) -> list[str]:
    """Lines on what built a plan, and on the matching container."""
    lines = [f"{engine.file} was built by TensorRT {engine.version} for {engine.device}"]
    if is_version_compatible(engine):
        lines.append(
            "version compatible, so later TensorRT versions can load it: tritonserver "
            "--backend-config=tensorrt,version-compatible=true"
        )
    release = release_for(engine.version)
    if engine.device in _JETSON:
        lines.append(
            f"Jetson containers are {IMAGE}:YY.MM-py3-igpu; the release with TensorRT {engine.version} is not known "
            f"here; to check one: docker run --rm {IMAGE}:YY.MM-py3-igpu printenv TRT_VERSION"
        )
    elif release is None:
        lines.append(
            f"the container with TensorRT {engine.version} is not known here: see {MATRIX}, or check one: "
            f"docker run --rm {IMAGE}:YY.MM-py3 printenv TRT_VERSION"
        )
    else:
        lines.append(
            f"container with this version: {IMAGE}:{release}-py3 (check: docker run --rm {IMAGE}:{release}-py3 "
            "printenv TRT_VERSION)"
        )
    return lines
