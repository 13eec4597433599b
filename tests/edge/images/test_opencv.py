"""OpenCV that is missing, or whose system libraries are, is reported with the command that installs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PRINT_NEXT_STEP = """
from ssr_edge.common.errors import RuntimeUnavailable
try:
    import ssr_edge.images.opencv
except RuntimeUnavailable as error:
    print(error.found, error.next_step, sep="|")
"""


@pytest.mark.parametrize(
    ("module", "found", "next_step"),
    [
        ("raise ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')", "cv2", "pip install opencv-python"),
        (
            "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')",
            "libGL.so.1",
            "sudo apt install libgl1 libglib2.0-0",
        ),
    ],
    ids=["not installed", "no libGL"],
)
def test_opencv_that_cannot_be_imported(module: str, found: str, next_step: str, tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text(module)
    # The folder of the broken cv2 comes before every other one.
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", _PRINT_NEXT_STEP],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    reported, _, command = done.stdout.strip().partition("|")
    assert found in reported
    assert command == next_step
