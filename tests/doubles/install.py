"""Installs the test doubles in `sys.modules`, and writes bundles that they can run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.bundle.bundle import Bundle, write_manifest, writing_bundle
from ssr_edge.bundle.manifest import EngineEntry, FoldCheck, Manifest, OnnxParity, Provenance
from tests.doubles import pycuda, tensorrt
from tests.doubles.api import RTX
from tests.doubles.machine import Machine


def install(monkeypatch: pytest.MonkeyPatch, version: str, machine: Machine) -> Any:
    """Installs a version of TensorRT, and pycuda, for the rest of the test; returns the TensorRT module."""
    for name in ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    module = tensorrt.make_module(version, machine)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_bindings" if version == RTX else "tensorrt", module)
    for name, part in pycuda.make_modules(machine).items():
        monkeypatch.setitem(sys.modules, name, part)
    return module


def tiny_network(classes: int = len(CLASSES), cam: bool = False) -> onnx.ModelProto:
    """A network with a bundle's tensors: logits are a linear function of the image's mean color.

    cam: also a linear function of the mean colors of a 4x4 grid.
    """
    weights = np.random.default_rng(0).standard_normal((3, classes)).astype(np.float32) / 64
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", classes]) for name in ("logits", "probabilities")
    ]
    if cam:
        nodes += [
            helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("AveragePool", ["planes"], ["places"], kernel_shape=[56, 56], strides=[56, 56]),
            helper.make_node("Transpose", ["places"], ["colors"], perm=[0, 2, 3, 1]),
            helper.make_node("MatMul", ["colors", "weights"], ["by_place"]),
            helper.make_node("Transpose", ["by_place"], ["cam"], perm=[0, 3, 1, 2]),
        ]
        outputs.append(helper.make_tensor_value_info("cam", TensorProto.FLOAT, ["n", classes, 4, 4]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 224, 224, 3])],
        outputs,
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([1, 2]), "axes")],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])


def write_bundle(path: Path, network: onnx.ModelProto, engines: list[tuple[EngineEntry, bytes]]) -> Bundle:
    """Writes a bundle with the network and the engines, each an entry and its file's content."""
    manifest = Manifest(
        name="tiny",
        created="2026-11-23T00:00:00Z",
        arch={},
        classes=list(CLASSES),
        magnification=100,
        provenance=Provenance(checkpoint="", checkpoint_sha256="", data="", data_fingerprint="", tools={}),
        parameters=24,
        multiply_adds=24,
        fold=FoldCheck(images=0, fp32=0, fp64=0, blocks=[]),
        onnx_parity=OnnxParity(images=0, relative_error=0),
        engines=[entry for entry, _ in engines],
    )
    with writing_bundle(path) as folder:
        onnx.save(network, folder / "model.fp32.onnx")
        (folder / "engines").mkdir(exist_ok=True)
        for entry, plan in engines:
            (folder / entry.file).write_bytes(plan)
        write_manifest(folder, manifest)
    return Bundle.open(path)


def fake_plan(network: Path, batch: tuple[int, int, int] = (1, 2, 4), **changes: Any) -> bytes:
    """A plan that the double can deserialize. scratch: GPU bytes that an execution context allocates."""
    return json.dumps({"onnx": str(network), "batch": batch, "scratch": 1 << 16, **changes}).encode()
