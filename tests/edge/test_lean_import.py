"""Importing must be cheap: an edge device's command line may not load a framework to print its help."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "torchvision", "openvino", "onnx", "onnxruntime", "cv2", "sklearn", "tensorrt", "pycuda", "numpy"}
HEAVY |= {"matplotlib"}


@pytest.mark.parametrize("module", ["ssr_edge", "ssr_edge.common.errors", "ssr_edge.cli.main"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "ssr_edge" in done.stdout.split()
    assert HEAVY & set(done.stdout.split()) == set()


def test_what_an_edge_device_imports_needs_neither_stage() -> None:
    program = (
        "import sys; sys.modules |= dict.fromkeys(['torch', 'onnxruntime', 'sklearn', 'ssr_train', 'ssr_export']);"
        "import ssr_edge.inference.pipeline, ssr_edge.results.results, ssr_edge.sources.choose;"
        "import ssr_edge.bundle.summary, ssr_edge.breakhis.verify.verify, ssr_edge.breakhis.verify.report;"
        "import ssr_edge.machine.doctor, ssr_edge.runners.openvino.runner, ssr_edge.runners.onnxruntime"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
