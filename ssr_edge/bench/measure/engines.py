"""Selects the engines to compare on this machine, with the reason for each one that can't run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ssr_edge.bundle.bundle import Bundle, model_file
from ssr_edge.bundle.manifest import PRECISIONS
from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import sha256_of
from ssr_edge.common.install_hint import install_hint
from ssr_edge.machine.gpu import find_gpu
from ssr_edge.runners.base import Runner
from ssr_edge.runners.choose import open_runner, open_server_runner
from ssr_edge.runners.server.address import RetryPolicy, ServerAddress

TORCH = "torch-fp32"
OPENVINO = "openvino-fp32"
# Engines that all others are compared with, preferred first.
BASELINES = (TORCH, OPENVINO)
# The forms of ssr_train.runner, which an edge device may lack.
TORCH_FORMS = ("torch", "torch-folded", "torch-compile")
# Not fp16: OpenVINO computes an FP16 file in FP32, so it would repeat the FP32 engine.
_OPENVINO_PRECISIONS = ("fp32", "bf16", "int8")
_NO_TORCH = f"PyTorch or the training stage is not installed: {install_hint('train')}"


@dataclass(frozen=True)
class EngineSpec:
    """What a worker needs to load one engine, as plain values that serialize to JSON.

    bundle: folder, for runtimes that load one. arch, checkpoint: for torch; checkpoint None means random weights.
    server: address of a served model, including the model name, which is then used as the precision.
    """

    runtime: str
    precision: str
    bundle: str | None = None
    arch: dict[str, Any] | None = None
    checkpoint: str | None = None
    server: str | None = None

    @property
    def name(self) -> str:
        """Name in tables: `openvino-int8`."""
        return f"{self.runtime}-{self.precision}"

    @property
    def trained(self) -> bool:
        """Whether its weights are trained, so that its labels are meaningful."""
        return self.runtime not in TORCH_FORMS or self.checkpoint is not None


@dataclass(frozen=True)
class EnginePlan:
    """The engines to run, baseline first. not_run: reason by name for the others."""

    specs: list[EngineSpec]
    not_run: dict[str, str]


def open_engine(spec: EngineSpec, single: bool = False) -> Runner:
    """Loads the engine; raises like the runner. single: for calls of one image, as `infer` does for a camera."""
    if spec.runtime in TORCH_FORMS:
        from ssr_train.runner import TorchRunner

        assert spec.arch is not None
        return TorchRunner(spec.arch, None if spec.checkpoint is None else Path(spec.checkpoint), spec.runtime)
    if spec.server is not None:
        # No retries: the time of several attempts is not a latency.
        return open_server_runner(ServerAddress.parse(spec.server), slots=2, retry_policy=RetryPolicy(retry_s=0))
    assert spec.bundle is not None
    # The same number of slots as `infer`.
    return open_runner(Bundle.open(Path(spec.bundle)), spec.runtime, spec.precision, slots=2, single=single)


def plan_engines(
    bundle: Bundle,
    runtimes: Sequence[str] = (),
    precisions: Sequence[str] = (),
    quick: bool = False,
    server: str | None = None,
) -> EnginePlan:
    """The baseline and the engines of a bundle. runtimes, precisions: restrict the engines; empty for all.

    server: a served model to measure in addition.

    The baseline is always included. Included only if their runtime is named: torch-compile, which takes minutes; ONNX
    Runtime other than FP32, which is slow with the Q/DQ placement that TensorRT needs; with `quick`, everything but
    the bundle's engines.

    Raises:
        UsageError: the bundle has no engine that matches, or `server` is not an address of a model.
    """
    specs, not_run = _baseline(bundle)
    candidates = [
        *(
            EngineSpec(form, "fp32", arch=bundle.manifest.arch, checkpoint=_checkpoint(bundle))
            for form in TORCH_FORMS[1:]
        ),
        *(EngineSpec(*names, bundle=str(bundle.path)) for names in _of_bundle(bundle, "onnxruntime" in runtimes)),
    ]
    wanted = [
        spec
        for spec in candidates
        if (not runtimes or spec.runtime in runtimes) and (not precisions or spec.precision in precisions)
    ]
    if not wanted and "torch" not in runtimes:
        raise UsageError(
            f"{bundle.path} has no engine of {', '.join([*runtimes, *precisions]) or 'any runtime'}",
            expected="one of " + ", ".join("-".join(names) for names in _of_bundle(bundle, True)),
            next_step=f"ssr-edge inspect {bundle.path}",
        )
    for spec in wanted:
        missing = _missing(spec, spec.runtime in runtimes, quick)
        if missing:
            not_run[spec.name] = missing
        elif spec not in specs:
            specs.append(spec)
    if server is not None:
        specs.append(EngineSpec("server", ServerAddress.parse(server).model, server=server))
    return EnginePlan(specs, not_run)


def _missing(spec: EngineSpec, named: bool, quick: bool) -> str | None:
    """Why an engine can't run on this machine; None if it can. named: its runtime was requested explicitly."""
    if spec.runtime.startswith("tensorrt") and find_gpu() is None:
        return "no NVIDIA GPU"
    if spec.runtime == "onnxruntime" and find_spec("onnxruntime") is None:
        return "ONNX Runtime is not installed: pip install onnxruntime"
    if spec.runtime in TORCH_FORMS and not _has_torch():
        return _NO_TORCH
    if quick and not named and spec.runtime in ("torch-folded", "onnxruntime"):
        return f"skipped by --quick unless named: --runtime {spec.runtime}"
    if spec.runtime == "torch-compile" and not named:
        return "compiles for minutes; runs only if named: --runtime torch-compile"
    if spec.runtime == "torch-compile" and not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
        return "torch.compile needs a C++ compiler: apt-get install g++"
    return None


def _of_bundle(bundle: Bundle, all_of_onnxruntime: bool) -> list[tuple[str, str]]:
    # A bundle has a bf16 engine only if it was built on a CPU that supports bf16.
    have = [
        precision
        for precision in PRECISIONS
        if (bundle.engine("openvino", precision) if precision == "bf16" else bundle.has(model_file(precision)))
    ]
    found: list[tuple[str, str]] = [
        ("onnxruntime", p) for p in have if p == "fp32" or (all_of_onnxruntime and p != "bf16")
    ]
    found += [("openvino", precision) for precision in have if precision in _OPENVINO_PRECISIONS]
    found += [(entry.runtime, entry.precision) for entry in bundle.manifest.engines if entry.runtime != "openvino"]
    return list(dict.fromkeys(found))


def _has_torch() -> bool:
    return find_spec("torch") is not None and find_spec("ssr_train") is not None


def _baseline(bundle: Bundle) -> tuple[list[EngineSpec], dict[str, str]]:
    specs: list[EngineSpec] = []
    missing = {TORCH: _NO_TORCH}
    if _has_torch():
        missing = {}
        specs.append(EngineSpec("torch", "fp32", arch=bundle.manifest.arch, checkpoint=_checkpoint(bundle)))
    # Without trained PyTorch weights, OpenVINO FP32 provides the reference labels.
    if not any(spec.trained for spec in specs) and bundle.has(model_file("fp32")):
        specs.append(EngineSpec("openvino", "fp32", bundle=str(bundle.path)))
    return specs, missing


def _checkpoint(bundle: Bundle) -> str | None:
    """The checkpoint that the bundle was built from, if it still exists unchanged."""
    provenance = bundle.manifest.provenance
    path = Path(provenance.checkpoint)
    if path.is_file() and sha256_of(path) == provenance.checkpoint_sha256:
        return str(path)
    return None
