"""Importing must be cheap: a device's command line may not load a framework to print its help."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"torch", "torchvision", "openvino", "onnx", "onnxruntime", "cv2", "sklearn", "tensorrt", "pycuda", "numpy"}
HEAVY |= {"matplotlib", "pandas", "ray", "rich"}

# In one process: first what a command line imports, then what inference imports while both stages are out of reach.
PROGRAM = """
import sys
import ssr_edge, ssr_edge.common.errors, ssr_edge.cli.main
print(*{name.partition(".")[0] for name in sys.modules})
sys.modules |= dict.fromkeys(["torch", "onnxruntime", "sklearn", "ssr_train", "ssr_export"])
import ssr_edge.classifier, ssr_edge.results.results, ssr_edge.overlay.sinks, ssr_edge.slides.report
import ssr_edge.bundle.summary, ssr_edge.breakhis.verify.verify, ssr_edge.breakhis.verify.report
import ssr_edge.machine.doctor, ssr_edge.runners.openvino.runner, ssr_edge.runners.onnxruntime
"""


def test_the_command_line_is_light_and_inference_needs_neither_stage() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    loaded = set(done.stdout.split())
    assert "ssr_edge" in loaded and "typer" in loaded
    assert HEAVY & loaded == set()
