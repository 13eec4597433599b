"""Which engines a benchmark compares on this machine, and which it can't run here and why."""

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
from ssr_edge.runners.choose import RUNTIMES, open_runner, open_server_runner
from ssr_edge.runners.server.address import RetryPolicy, ServerAddress
from ssr_train.runner import FORMS, TorchRunner

TORCH = "torch-fp32"
OPENVINO = "openvino-fp32"
# Preferred first: what everything is compared with.
BASELINES = (TORCH, OPENVINO)
# OpenVINO computes in FP32 what an FP16 file holds: it would be the FP32 engine once more.
_OPENVINO_PRECISIONS = ("fp32", "bf16", "int8")
_NO_TORCH = f"PyTorch or the training stage is not installed: {install_hint('train')}"


@dataclass(frozen=True)
class EngineSpec:
    """What a worker needs to load one engine; plain values, so that it travels as JSON.

    bundle: its folder, for the runtimes that load one. arch, checkpoint: for torch; checkpoint None means random
    weights. server: its address with the model, for a served one, whose name is then the precision.
    """

    runtime: str
    precision: str
    bundle: str | None = None
    arch: dict[str, Any] | None = None
    checkpoint: str | None = None
    server: str | None = None

    @property
    def name(self) -> str:
        """As in tables: `openvino-int8`."""
        return f"{self.runtime}-{self.precision}"

    @property
    def trained(self) -> bool:
        """Whether its labels mean anything."""
        return self.runtime not in FORMS or self.checkpoint is not None


@dataclass(frozen=True)
class EnginePlan:
    """The engines to run, the baseline first; and the others by name, with the reason why they can't run here."""

    specs: list[EngineSpec]
    not_run: dict[str, str]


def open_engine(spec: EngineSpec, single: bool = False) -> Runner:
    """Loads the engine; raises as the runner does. single: for calls of one image, as `infer` does for a camera."""
    if spec.runtime in FORMS:
        assert spec.arch is not None
        return TorchRunner(spec.arch, None if spec.checkpoint is None else Path(spec.checkpoint), spec.runtime)
    if spec.server is not None:
        # Not sent again: the time of several tries is no latency.
        return open_server_runner(ServerAddress.parse(spec.server), slots=2, retry_policy=RetryPolicy(retry_s=0))
    assert spec.bundle is not None
    # As many slots as `infer` opens.
    return open_runner(Bundle.open(Path(spec.bundle)), spec.runtime, spec.precision, slots=2, single=single)


def plan_engines(
    bundle: Bundle,
    runtimes: Sequence[str] = (),
    precisions: Sequence[str] = (),
    quick: bool = False,
    server: str | None = None,
) -> EnginePlan:
    """The baseline and the engines of a bundle. runtimes, precisions: the only ones to compare; empty for all.

    server: a served model that stands beside them, whichever those are.

    What takes part only when its runtime is named: PyTorch's compiler, which takes minutes; all but FP32 of ONNX
    Runtime, which is slow with Q/DQ as TensorRT wants it; and where it must be quick, all but the bundle's engines. The
    baseline always takes part.

    Raises:
        UsageError: an unknown runtime or precision, nothing in the bundle of the kind asked for, or no address.
    """
    _check_known("runtime", runtimes, (*RUNTIMES, *FORMS))
    _check_known("precision", precisions, PRECISIONS)
    specs, not_run = _baseline(bundle)
    candidates = [
        *(EngineSpec(form, "fp32", arch=bundle.manifest.arch, checkpoint=_checkpoint(bundle)) for form in FORMS[1:]),
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
    """What an engine lacks here, in words; it may be to be `named`."""
    if spec.runtime.startswith("tensorrt") and find_gpu() is None:
        return "no NVIDIA GPU"
    if spec.runtime == "onnxruntime" and find_spec("onnxruntime") is None:
        return "ONNX Runtime is not installed: pip install onnxruntime"
    if spec.runtime in FORMS and not _has_torch():
        return _NO_TORCH
    if quick and not named and spec.runtime in ("torch-folded", "onnxruntime"):
        return f"left out by --quick, so it is to be named: --runtime {spec.runtime}"
    if spec.runtime == "torch-compile" and not named:
        return "compiles for minutes, so it is to be named: --runtime torch-compile"
    if spec.runtime == "torch-compile" and not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
        return "no C++ compiler, which torch.compile needs: apt-get install g++"
    return None


def _of_bundle(bundle: Bundle, all_of_onnxruntime: bool) -> list[tuple[str, str]]:
    # A bf16 engine is in the bundle only if it was built on a CPU that has it.
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
    # Where PyTorch can't say what FP32's labels are, OpenVINO does.
    if not any(spec.trained for spec in specs) and bundle.has(model_file("fp32")):
        specs.append(EngineSpec("openvino", "fp32", bundle=str(bundle.path)))
    return specs, missing


def _checkpoint(bundle: Bundle) -> str | None:
    """The checkpoint the bundle was made from, if it still is where it was and what it was."""
    provenance = bundle.manifest.provenance
    path = Path(provenance.checkpoint)
    if path.is_file() and sha256_of(path) == provenance.checkpoint_sha256:
        return str(path)
    return None


def _check_known(what: str, asked: Sequence[str], known: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            raise UsageError(f"{what} {name!r} is not known", expected=", ".join(known), next_step="ssr-edge doctor")
