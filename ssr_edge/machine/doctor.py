"""Diagnoses what a machine can run. Imports nothing heavy, so that a broken package can't break the diagnosis."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ssr_edge import __version__
from ssr_edge.common.install_hint import install_hint
from ssr_edge.machine.environment import machine_facts
from ssr_edge.machine.gpu import find_gpu

# Purpose, module, distributions that may contain it, and the extra that installs it.
_PARTS = (
    ("infer and bench on a CPU", "openvino", ("openvino",), ""),
    ("decode images", "cv2", ("opencv-python", "opencv-python-headless"), ""),
    ("train", "torch", ("torch",), "train"),
    ("export", "onnxscript", ("onnxscript",), "export"),
    ("check numbers", "onnxruntime", ("onnxruntime",), "export"),
    ("build for TensorRT", "tensorrt", ("tensorrt",), "tensorrt"),
    (
        "build for TensorRT for RTX",
        "tensorrt_rtx_bindings",
        ("tensorrt_rtx_cu13_bindings", "tensorrt_rtx_cu12_bindings"),
        "tensorrt-rtx",
    ),
    ("infer on a cluster", "ray", ("ray",), "ray"),
    ("run TensorRT engines", "pycuda", ("pycuda",), "tensorrt"),
)


def examine() -> dict[str, Any]:
    """Machine, GPU and, for each capability, the version of its package or the command that installs it."""
    gpu = find_gpu()
    parts = []
    for purpose, module, distributions, extra in _PARTS:
        present = find_spec(module) is not None
        parts.append(
            {
                "purpose": purpose,
                "package": module,
                "version": _version(distributions) if present else None,
                "add": install_hint(extra),
            }
        )
    return {
        "ssr_edge": __version__,
        "machine": machine_facts(),
        "gpu": None if gpu is None else vars(gpu),
        "parts": parts,
    }


def show(report: dict[str, Any]) -> None:
    """Prints the result of `examine`."""
    console = Console(highlight=False)
    machine, gpu = report["machine"], report["gpu"]
    console.print(f"ssr-edge {report['ssr_edge']} on {machine['cpu']}, {machine['cores']} cores")
    if gpu is None:
        console.print("no NVIDIA GPU: engines run on the CPU with OpenVINO")
    else:
        console.print(
            f"{gpu['name']}, sm_{gpu['compute_capability'].replace('.', '')}, driver for CUDA {gpu['driver_cuda']}"
        )
    table = Table()
    for column in ("purpose", "package", "version", "install with"):
        table.add_column(column)
    for part in report["parts"]:
        missing = part["version"] is None
        table.add_row(
            part["purpose"], part["package"], part["version"] or "missing", escape(part["add"]) if missing else ""
        )
    console.print(table)


def _version(distributions: tuple[str, ...]) -> str:
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "present"
