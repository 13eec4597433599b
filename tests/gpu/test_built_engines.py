"""The demo network's engines, built and run on a real GPU, compared with ONNX Runtime on the demo images."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.bundle.bundle import Bundle, model_file
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.images.preprocess import decode, load
from ssr_edge.runners.base import Outputs
from ssr_edge.runners.choose import open_runner
from ssr_edge.runners.tensorrt.cuda import Cuda

pytestmark = pytest.mark.gpu

# Fractions of the largest logit. TF32 and FP16 keep ten bits; INT8 rounds ties differently from ONNX Runtime.
FARTHEST = {"fp32": 0.01, "fp16": 0.02, "int8": 0.15}
BATCH = 8


def logits(bundle: Bundle, precision: str, paths: list[Path]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(bundle.file(model_file(precision)), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["logits"], {"images": load(path)[None]})[0] for path in paths])


def run(call: Callable[[list[Path]], Outputs], paths: list[Path]) -> npt.NDArray[np.float32]:
    return np.concatenate([call(paths[i : i + BATCH]).logits for i in range(0, len(paths), BATCH)])


@pytest.mark.parametrize("precision", FARTHEST)
def test_logits_are_onnxruntimes(precision: str, demo_bundle: Bundle, runtime: str, demo_images: list[Path]) -> None:
    expected = logits(demo_bundle, precision, demo_images)
    with open_runner(demo_bundle, runtime, precision) as runner:
        found = run(lambda paths: runner.infer(np.stack([load(path) for path in paths])), demo_images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=FARTHEST[precision] * np.abs(expected).max())
    # One of 22 may be on the boundary between two classes.
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.95


@pytest.mark.parametrize("precision", FARTHEST)
def test_originals_resized_on_the_gpu(
    precision: str, demo_bundle: Bundle, runtime: str, demo_images: list[Path]
) -> None:
    with open_runner(demo_bundle, runtime, precision, slots=2, resize="gpu") as runner:
        submit: Any = runner.submit_originals  # type: ignore[attr-defined]
        resized = run(lambda paths: runner.infer(np.stack([load(path) for path in paths])), demo_images)
        found = run(lambda paths: runner.collect(submit([decode(path) for path in paths])), demo_images)
    # The kernel is within one gray level of OpenCV; few values of a photograph differ.
    np.testing.assert_allclose(found, resized, rtol=0, atol=0.05 * np.abs(resized).max())
    assert (found.argmax(axis=1) == resized.argmax(axis=1)).mean() > 0.95


def test_infer_with_either_resize(
    demo_bundle: Bundle, runtime: str, demo_images: list[Path], ssr_edge: Callable[..., Any], tmp_path: Path
) -> None:
    columns = []
    for resize in ("cpu", "gpu"):
        output = tmp_path / f"{resize}.csv"
        asked = ("--bundle", demo_bundle.path, "--runtime", runtime, "--precision", "fp16", "--resize", resize)
        answer = ssr_edge("infer", demo_images[0].parent, *asked, "-o", output)
        assert answer.code == 0, answer.err
        with output.open(newline="", encoding="utf-8") as file:
            columns.append([[float(row[f"p_{label}"]) for label in CLASSES] for row in csv.DictReader(file)])
    assert len(columns[0]) == len(demo_images)
    np.testing.assert_allclose(columns[0], columns[1], rtol=0, atol=0.1)


def test_a_full_gpu_is_reported(demo_bundle: Bundle, runtime: str, cuda: Cuda) -> None:
    with cuda.current():
        device = cuda.context.get_device()
        if device.get_attribute(cuda.driver.device_attribute.INTEGRATED):
            pytest.skip("the GPU shares the computer's memory; filling it would crash the machine")
        taken, size = [], cuda.driver.mem_get_info()[0]
        while size >= 1 << 20:
            try:
                taken.append(cuda.driver.mem_alloc(size))
            except cuda.driver.MemoryError:
                size //= 2
    try:
        with pytest.raises(RuntimeUnavailable, match=r"is out of memory: no room for .* MiB; .* MiB are free"):
            open_runner(demo_bundle, runtime, "fp32", slots=4)
    finally:
        with cuda.current():
            taken.clear()
    open_runner(demo_bundle, runtime, "fp32", slots=4).close()


TOGETHER = """
import sys
from pathlib import Path
import numpy as np, torch
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.runners.choose import open_runner
before = torch.arange(1000., device="cuda")
images = np.zeros((2, 224, 224, 3), np.uint8)
for _ in range(3):
    with open_runner(Bundle.open(Path(sys.argv[1])), sys.argv[2], "fp32", slots=2) as runner:
        tickets = [runner.submit(images) for _ in range(2)]
        after = (before * 2).sum().item()
        first, second = (runner.collect(ticket).logits for ticket in tickets)
        assert np.array_equal(first, second) and np.isfinite(first).all()
        assert after == 999_000, after
print("together")
"""


def test_torch_in_the_same_process(demo_bundle: Bundle, runtime: str) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    done = subprocess.run(
        [sys.executable, "-c", TOGETHER, str(demo_bundle.path), runtime], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "together\n"), done.stderr
